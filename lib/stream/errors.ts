// The errors that node:net has for what it does, with its codes and its words.

import { getSystemErrorMap, inspect } from 'node:util'

type Code = { readonly code: string }

/** An error of the operating system that nobody had to ask it for. */
export function systemErrorOf(
  name: string,
  syscall: string,
  address?: string,
  port?: number,
): NodeJS.ErrnoException {
  const errno = [...getSystemErrorMap()].find(([, [each]]) => each === name)?.[0]
  const where = address === undefined ? '' : ` ${address}:${port}`
  const fields = address === undefined ? {} : { address, port }
  const error = new Error(`${syscall} ${name}${where}`)
  return Object.assign(error, { errno: errno ?? 0, code: name, syscall }, fields)
}

/** What several attempts to connect have failed with. */
export function manyAttemptsFailed(
  errors: readonly NodeJS.ErrnoException[],
): AggregateError & Code {
  return Object.assign(new AggregateError(errors), { code: errors[0]?.code ?? 'ECONNREFUSED' })
}

/** Writing after FIN has come, where it ends both directions. */
export function endedByOtherParty(): Error & Code {
  return withCode(new Error('This socket has been ended by the other party'), 'EPIPE')
}

export function socketClosed(): Error & Code {
  return withCode(new Error('Socket is closed'), 'ERR_SOCKET_CLOSED')
}

export function closedBeforeConnection(): Error & Code {
  const message = 'Socket closed before the connection was established'
  return withCode(new Error(message), 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION')
}

export function notTcp(): TypeError & Code {
  const message = 'This handle type cannot be sent'
  return withCode(new TypeError(message), 'ERR_INVALID_HANDLE_TYPE')
}

export function serverNotRunning(): Error & Code {
  return withCode(new Error('Server is not running.'), 'ERR_SERVER_NOT_RUNNING')
}

export function alreadyListening(): Error & Code {
  const message = 'Listen method has been called more than once without closing.'
  return withCode(new Error(message), 'ERR_SERVER_ALREADY_LISTEN')
}

export function missingPort(): TypeError & Code {
  const message = 'The "options" or "port" or "path" argument must be specified'
  return withCode(new TypeError(message), 'ERR_MISSING_ARGS')
}

export function badPort(value: unknown): RangeError & Code {
  const message = `options.port should be >= 0 and < 65536. Received ${inspect(value)}.`
  return withCode(new RangeError(message), 'ERR_SOCKET_BAD_PORT')
}

/** What user code throws within an event becomes an uncaught exception, as in any event of Node. */
export function throwOutside(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}

function withCode<E extends Error>(error: E, code: string): E & Code {
  return Object.assign(error, { code })
}
