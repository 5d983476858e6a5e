import { NodepollError } from '../errors.ts'

/** The codes of the errors of nodepoll/rpc. `docs/errors.md` has cause and remedy of each. */
export type RpcErrorCode =
  | 'ERR_NODEPOLL_RPC_CALLS_MAX'
  | 'ERR_NODEPOLL_RPC_CANCELED'
  | 'ERR_NODEPOLL_RPC_CLOSED'
  | 'ERR_NODEPOLL_RPC_CODEC'
  | 'ERR_NODEPOLL_RPC_CONNECTION_LOST'
  | 'ERR_NODEPOLL_RPC_DRAINING'
  | 'ERR_NODEPOLL_RPC_FAILED'
  | 'ERR_NODEPOLL_RPC_FRAME_LIMIT'
  | 'ERR_NODEPOLL_RPC_MALFORMED'
  | 'ERR_NODEPOLL_RPC_PREFACE'
  | 'ERR_NODEPOLL_RPC_TIMEOUT'
  | 'ERR_NODEPOLL_RPC_UNAVAILABLE'
  | 'ERR_NODEPOLL_RPC_UNKNOWN_CODEC'
  | 'ERR_NODEPOLL_RPC_UNKNOWN_KIND'
  | 'ERR_NODEPOLL_RPC_UNKNOWN_METHOD'
  | 'ERR_NODEPOLL_RPC_VERSION'

/**
 * What a call fails with, and what a handler throws so that its caller gets to know: code and
 * message of this one reach it, those of no other error do.
 *
 * `code` is an {@link RpcErrorCode}, or one of your own: up to 255 characters of ASCII. Of a
 * message 4096 characters are sent.
 *
 * @example
 * ```ts
 * import { connectRpc, RpcError, serveRpc } from 'nodepoll/rpc'
 *
 * const server = await serveRpc({
 *   host: '127.0.0.1',
 *   methods: {
 *     find(name: string) {
 *       throw new RpcError('NOT_FOUND', `nobody is called ${name}`)
 *     },
 *   },
 * })
 * const client = connectRpc({ host: '127.0.0.1', port: server.address.port })
 * await client.call('find', 'Ada').catch((error) => console.log(error.code)) // NOT_FOUND
 * await client.close()
 * await server.shutdown()
 * ```
 */
export class RpcError extends NodepollError {
  static {
    this.prototype.name = 'RpcError'
  }
}

/** An error of our own. */
export function rpcFailure(code: RpcErrorCode, message: string, options?: ErrorOptions): RpcError {
  return new RpcError(code, message, options)
}
