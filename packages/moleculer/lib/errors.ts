import { Errors } from 'moleculer'

/** The codes of this package's own errors; those of nodepoll come beside them. */
export type TransporterErrorCode =
  | 'ERR_NODEPOLL_MOLECULER_HTTP_PEER'
  | 'ERR_NODEPOLL_MOLECULER_MALFORMED_FRAME'
  | 'ERR_NODEPOLL_MOLECULER_NAMESPACE'
  | 'ERR_NODEPOLL_MOLECULER_NODE_ID_TAKEN'
  | 'ERR_NODEPOLL_MOLECULER_NO_HELLO'
  | 'ERR_NODEPOLL_MOLECULER_REPLACED'

/** Why a connection to another node was ended. `code` is stable. */
export class TransporterError extends Error {
  readonly code: TransporterErrorCode

  constructor(code: TransporterErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  static {
    this.prototype.name = 'TransporterError'
  }
}

/** What a peer has sent is no frame of this protocol. */
export function malformed(message: string, options?: ErrorOptions): TransporterError {
  return new TransporterError('ERR_NODEPOLL_MOLECULER_MALFORMED_FRAME', message, options)
}

/** What a packet is refused with whose node has no connection. Moleculer may try it elsewhere. */
export function notConnected(nodeID: string): Error {
  const message = `there is no connection to node '${nodeID}'`
  return new Errors.MoleculerRetryableError(message, 503, 'NODEPOLL_NOT_CONNECTED', { nodeID })
}
