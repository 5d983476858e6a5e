import { addAbortListener } from 'node:events'

import type { Connection } from '../connection.ts'
import { failure } from '../errors.ts'
import type { Address, InetAddress, UnixAddress } from '../internal/address.ts'
import { reportError } from '../internal/handlers.ts'
import type { ListenOptions, ShutdownOptions } from '../options.ts'
import { checkShutdownOptions } from '../options.ts'
import { serve, type Server } from '../server.ts'
import { MethodTable } from './methods.ts'
import { checkServerOptions, type RpcServerOptions } from './options.ts'
import { encodePreface } from './preface.ts'
import { ServerSession, type Service } from './server-session.ts'

/** Serves calls: what {@link serveRpc} resolves with. It keeps the process alive until it ends. */
export class RpcServer<A extends Address = Address> {
  readonly #server: Server<A>
  readonly #service: Service

  /** @internal */
  constructor(server: Server<A>, service: Service) {
    this.#server = server
    this.#service = service
  }

  /** Where it listens, with the port that was picked. */
  get address(): A {
    return this.#server.address
  }

  /** Settles when nothing is listened on and all connections have ended. Never rejects. */
  get finished(): Promise<void> {
    return this.#server.finished
  }

  /** Connections whose clients have said what they speak, or are about to. */
  get connectionCount(): number {
    return this.#service.sessions.size
  }

  /** Calls whose handlers have returned promises that are pending. */
  get callCount(): number {
    let count = 0
    for (const session of this.#service.sessions) count += session.callCount
    return count
  }

  /** Lets it keep the process alive, as it does at first. */
  ref(): this {
    this.#server.ref()
    return this
  }

  /** Lets the process end although it listens, and although there are connections. */
  unref(): this {
    this.#server.unref()
    return this
  }

  /**
   * Stops accepting and begins no more calls; answers those that have begun. Clients are told: they
   * make their next calls over other connections, and end these. Calls that were on their way are
   * refused with `ERR_NODEPOLL_RPC_DRAINING`, upon which a client makes them elsewhere by itself. A
   * client that does not end its connection within a second of that has it ended, once its calls
   * are answered.
   *
   * Resolves when all connections have ended. Rejects with `ERR_NODEPOLL_DEADLINE` after
   * `deadlineMs`, or when `signal` is aborted; with `force` what remains is reset before, which
   * aborts the signals of the calls.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    checkShutdownOptions(options)
    const { deadlineMs, signal, force = false } = options
    const service = this.#service
    service.isDraining = true
    void this.#server.close()
    for (const session of service.sessions) session.drain()
    const isInTime = await inTime(this.#server.finished, deadlineMs, signal)
    if (isInTime) return this.#server.shutdown()
    const cause = signal?.aborted ? { cause: signal.reason } : {}
    const left = failure(
      'ERR_NODEPOLL_DEADLINE',
      `${service.sessions.size} connections are left`,
      cause,
    )
    // Not otherwise: to what is below, a connection whose calls are under way is idle.
    if (force) await this.#server.shutdown({ deadlineMs: 0, force }).catch(() => {})
    throw left
  }

  /** {@link RpcServer.shutdown} without a deadline, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }
}

/** Whether a promise settles before so many milliseconds have passed or a signal is aborted. */
async function inTime(
  promise: Promise<void>,
  ms: number | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  let subscription: Disposable | undefined
  const late = new Promise<false>((resolve) => {
    if (ms !== undefined) timer = setTimeout(resolve, ms, false)
    if (signal?.aborted) resolve(false)
    else if (signal !== undefined) subscription = addAbortListener(signal, () => resolve(false))
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
    subscription?.[Symbol.dispose]()
  }
}

/**
 * Listens, and answers calls: many at a time over each connection, their replies in any order and
 * those of one turn of the loop together. Resolves when connections are accepted.
 *
 * Rejects as `createListener()` does.
 *
 * @example
 * ```ts
 * import { connectRpc, serveRpc } from 'nodepoll/rpc'
 *
 * const server = await serveRpc({
 *   host: '127.0.0.1',
 *   methods: {
 *     add: ({ a, b }: { a: number; b: number }) => a + b,
 *   },
 * })
 * const client = connectRpc({ host: '127.0.0.1', port: server.address.port })
 * console.log(await client.call('add', { a: 2, b: 3 })) // 5
 * await client.close()
 * await server.shutdown()
 * ```
 */
export function serveRpc(
  options: RpcServerOptions & { path?: undefined },
): Promise<RpcServer<InetAddress>>
export function serveRpc(
  options: RpcServerOptions & { path: string },
): Promise<RpcServer<UnixAddress>>
export function serveRpc(options: RpcServerOptions): Promise<RpcServer>
export async function serveRpc(options: RpcServerOptions): Promise<RpcServer> {
  const service = makeService(options)
  const server = await serve<ServerSession | undefined>({
    ...listening(options),
    autoRelease: true,
    onError: service.report as (error: unknown, connection: Connection | undefined) => void,
    async onConnect(connection) {
      const session = new ServerSession(connection, service)
      await session.greet()
      return session
    },
    onRequest: (_, session) => session?.receive(),
  })
  return new RpcServer(server, service)
}

function makeService(options: RpcServerOptions): Service {
  const serving = checkServerOptions(options)
  const { methods = {}, handler, onError } = options
  const { frameMax, concurrencyMax, codec } = serving
  const report = onError?.bind(options)
  return {
    ...serving,
    methods: new MethodTable(Object.entries(methods), handler?.bind(options)),
    preface: encodePreface({ frameMax, concurrencyMax, codec: codec.name }),
    sessions: new Set(),
    isDraining: false,
    report: (error, connection) => reportError(report, error, connection),
  }
}

/** What is not for us. */
function listening(options: RpcServerOptions): ListenOptions {
  const { codec: _, methods: _methods, handler: _handler, ...rest } = options
  return rest
}
