import { inspect } from 'node:util'

import { describeErrno } from './internal/errno.ts'

/** The codes of our own errors. `docs/errors.md` has cause and remedy of each. */
export type ErrorCode =
  | 'ERR_NODEPOLL_ALREADY_STARTED'
  | 'ERR_NODEPOLL_CONCURRENT_READ'
  | 'ERR_NODEPOLL_CONNECTION_CLOSED'
  | 'ERR_NODEPOLL_DEADLINE'
  | 'ERR_NODEPOLL_DIAL_TIMEOUT'
  | 'ERR_NODEPOLL_EOF'
  | 'ERR_NODEPOLL_FRAME_LIMIT'
  | 'ERR_NODEPOLL_LOOP_FAILED'
  | 'ERR_NODEPOLL_NATIVE_LIBRARY'
  | 'ERR_NODEPOLL_SHORT_BUFFER'
  | 'ERR_NODEPOLL_SHUT_DOWN'
  | 'ERR_NODEPOLL_UNRELEASED'
  | 'ERR_NODEPOLL_UNSUPPORTED'
  | 'ERR_NODEPOLL_READ_LIMIT'
  | 'ERR_NODEPOLL_READ_TIMEOUT'
  | 'ERR_NODEPOLL_WRITE_LIMIT'
  | 'ERR_NODEPOLL_WRITE_TIMEOUT'

/** What an error of the operating system brings along, by the names Node uses. */
interface SystemErrorFields {
  readonly errno: number
  readonly syscall: string
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/**
 * An error of nodepoll or, with `errno` and `syscall`, of the operating system.
 *
 * `code` is stable and is what programs should look at: `ERR_NODEPOLL_…` for our own errors, the
 * name the operating system uses (`ECONNREFUSED`, `EADDRINUSE` …) for its errors.
 *
 * @example
 * ```ts
 * import { dial, isNodepollError } from 'nodepoll'
 *
 * try {
 *   await dial({ host: '127.0.0.1', port: 1 })
 * } catch (error) {
 *   if (isNodepollError(error, 'ECONNREFUSED')) console.log('nobody listens there')
 * }
 * ```
 */
export class NodepollError extends Error {
  /** An {@link ErrorCode}, or the system's name of its error. */
  readonly code: string
  /** Negative, as Node has it. Only for errors of the operating system. */
  declare readonly errno?: number
  /** The call that failed. Only for errors of the operating system. */
  declare readonly syscall?: string
  /** The address that was dialled or listened on, or the path of a unix socket. */
  declare readonly address?: string
  /** The port that was dialled or listened on. */
  declare readonly port?: number
  /** When several addresses, or files, were tried: what became of each. */
  declare readonly errors?: readonly NodepollError[]

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  static {
    this.prototype.name = 'NodepollError'
  }
}

/**
 * Whether `value` is an error of nodepoll and, if `code` is given, that one.
 *
 * @example
 * ```ts
 * import { isNodepollError } from 'nodepoll'
 *
 * isNodepollError(new Error('other')) // false
 * ```
 */
export function isNodepollError(value: unknown, code?: string): value is NodepollError {
  return value instanceof NodepollError && (code === undefined || value.code === code)
}

/** An error of our own. */
export function failure(code: ErrorCode, message: string, options?: ErrorOptions): NodepollError {
  return new NodepollError(code, message, options)
}

/** What everything of a poller ends with that has panicked. */
export function laneFailedError(): NodepollError {
  return failure('ERR_NODEPOLL_LOOP_FAILED', 'the I/O thread has failed: this is a bug in nodepoll')
}

/** What writing to a connection that is closed fails with, and reading from one we have closed. */
export function closedError(): NodepollError {
  return failure('ERR_NODEPOLL_CONNECTION_CLOSED', 'the connection is closed')
}

/** An error of the operating system, in the shape that Node gives it. `number` is the kernel's. */
export function systemError(
  number: number,
  syscall: string,
  address?: string,
  port?: number,
): NodepollError {
  const { errno, name, description } = describeErrno(number)
  const where =
    address === undefined ? '' : ` ${port === undefined ? address : `${address}:${port}`}`
  // Node describes what went wrong with listening, and leaves it at the name elsewhere.
  const what = syscall === 'listen' ? `: ${description}` : ''
  const error = new NodepollError(name, `${syscall} ${name}${what}${where}`)
  return Object.assign(error, definedFields({ errno, syscall, address, port }))
}

/** Whether the operating system says that it does not know the like. `number` is the kernel's. */
export function isUnsupported(number: number): boolean {
  const { name } = describeErrno(number)
  return name === 'ENOTSUP' || name === 'EOPNOTSUPP'
}

/** One error for several that led to it. Its code is the first one's. */
export function manyErrors(errors: readonly NodepollError[]): NodepollError {
  const [first] = errors
  if (first === undefined) throw new TypeError('no errors to be told of')
  if (errors.length === 1) return first
  const message = errors.map((error) => error.message).join('; ')
  return Object.assign(new NodepollError(first.code, message, { cause: first }), { errors })
}

export function invalidArgType(name: string, expected: string, value: unknown): TypeError {
  const message = `The "${name}" argument must be ${expected}. Received ${received(value)}`
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE')
}

export function invalidArgValue(name: string, value: unknown, reason: string): TypeError {
  const message = `The argument '${name}' ${reason}. Received ${received(value)}`
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_VALUE')
}

export function unknownEncoding(value: unknown): TypeError {
  return withCode(new TypeError(`Unknown encoding: ${received(value)}`), 'ERR_UNKNOWN_ENCODING')
}

export function outOfRange(name: string, range: string, value: unknown): RangeError {
  const what = `The value of "${name}" is out of range`
  const message = `${what}. It must be ${range}. Received ${received(value)}`
  return withCode(new RangeError(message), 'ERR_OUT_OF_RANGE')
}

function withCode<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code })
}

function received(value: unknown): string {
  return typeof value === 'function' ? `function ${value.name}` : inspect(value, { depth: 0 })
}

function definedFields(fields: SystemErrorFields): Partial<SystemErrorFields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
