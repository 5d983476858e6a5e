/** The codes of this package's own errors; those of nodepoll come beside them. */
export type TransportErrorCode =
  | 'ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED'
  | 'ERR_NODEPOLL_NESTJS_HTTP_PEER'
  | 'ERR_NODEPOLL_NESTJS_MALFORMED_MESSAGE'
  | 'ERR_NODEPOLL_NESTJS_SERVER_CLOSING'
  | 'ERR_NODEPOLL_NESTJS_TOO_MANY_CALLS'
  | 'ERR_NODEPOLL_NESTJS_UNSENDABLE'

/** An error of the transport, and not of a handler. `code` is stable. */
export class TransportError extends Error {
  readonly code: TransportErrorCode

  constructor(code: TransportErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  static {
    this.prototype.name = 'TransportError'
  }
}

/** What a peer has sent is no message. */
export function malformed(message: string, options?: ErrorOptions): TransportError {
  return new TransportError('ERR_NODEPOLL_NESTJS_MALFORMED_MESSAGE', message, options)
}

/** What a peer has sent is a request of HTTP. */
export function httpPeer(options?: ErrorOptions): TransportError {
  const message = 'the peer speaks HTTP; this is the port of a microservice'
  return new TransportError('ERR_NODEPOLL_NESTJS_HTTP_PEER', message, options)
}

/** What calls fail with whose connection has ended before their reply. */
export function connectionClosed(cause?: unknown): TransportError {
  const options = cause === undefined ? undefined : { cause }
  return new TransportError('ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED', 'Connection closed', options)
}
