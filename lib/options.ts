import type { Connection } from './connection.ts'
import { invalidArgValue } from './errors.ts'
import {
  BACKLOG,
  BACKLOG_MAX,
  BUFFER_MAX_MAX,
  READ_BUFFER_MAX,
  WRITE_BUFFER_MAX,
} from './internal/limits.ts'
import {
  checkInteger,
  checkObject,
  checkOptionalBoolean,
  checkOptionalFunction,
  checkOptionalInteger,
  checkOptionalString,
} from './internal/validate.ts'

const PORT_MAX = 65_535

/** Called when there is unread input and no handler of the connection is pending. */
export type OnRequest<C = undefined> = (connection: Connection, context: C) => void | Promise<void>

/** Called when the peer, not us, has ended the connection. */
export type OnDisconnect<C = undefined> = (connection: Connection, context: C) => void

/** Called with what a handler threw. */
export type OnError = (error: unknown, connection: Connection | undefined) => void

/** How a connection is treated, whoever began it. */
export interface ConnectionOptions {
  /**
   * Whether the input is released each time `onRequest` has settled.
   *
   * @default true
   */
  autoRelease?: boolean
  /**
   * Bytes of unread input at which nothing more is received, so that the peer has to wait. Reading
   * goes on as they are consumed. A read that waits for more raises the limit until it has that.
   *
   * @default 1 MiB
   */
  readBufferMax?: number
  /**
   * Bytes of flushed output that the kernel has not taken at which `flush()` says `false`. With 64
   * times as many it throws `ERR_NODEPOLL_WRITE_LIMIT`.
   *
   * @default 1 MiB
   */
  writeBufferMax?: number
}

/** The handlers of an event loop and how it treats its connections. */
export interface EventLoopOptions<C = undefined> extends ConnectionOptions {
  /**
   * Called for each new connection; may read and write. `onRequest` waits until it has settled.
   * What it returns becomes the context of the later handlers.
   */
  onConnect?(connection: Connection, context: C): C | void | Promise<C | void>
  /**
   * Called when there is unread input and no handler of the connection is pending. Once it has
   * settled it is called again if unread input remains and it has consumed something, or more has
   * arrived. A handler that throws or rejects ends its connection.
   */
  onRequest?(connection: Connection, context: C): void | Promise<void>
  /** Called at most once, when the peer has ended the connection. */
  onDisconnect?(connection: Connection, context: C): void
  /**
   * Called with what a handler threw, and without a connection when accepting fails.
   *
   * @default process.emitWarning
   */
  onError?(error: unknown, connection: Connection | undefined): void
}

/** Where to listen: a host and a port, or the path of a unix socket. */
export interface ListenOptions {
  /** @default '::' (which takes IPv4 too), or '0.0.0.0' where there is no IPv6 */
  host?: string
  /** @default 0, which picks a free one */
  port?: number
  /** The path of a unix socket, in place of host and port. Its file goes with the listener. */
  path?: string
  /**
   * Connections that wait in the kernel to be accepted.
   *
   * @default 1024
   */
  backlog?: number
}

/** Whom to dial: a host and a port, or the path of a unix socket. */
export interface DialOptions extends ConnectionOptions {
  /** A name or an address. @default 'localhost' */
  host?: string
  port?: number
  /** The path of a unix socket, in place of host and port. */
  path?: string
  /** The address to dial from. */
  localAddress?: string
  /** The port to dial from. @default 0, which picks a free one */
  localPort?: number
  /** Whether small segments are sent at once. @default true */
  noDelay?: boolean
  onRequest?: OnRequest
  onDisconnect?: OnDisconnect
  onError?: OnError
}

/** How an event loop is shut down. */
export interface ShutdownOptions {
  /** Time after which the call rejects with `ERR_NODEPOLL_DEADLINE`. @default none */
  deadlineMs?: number
  /** Whether what remains at the deadline is reset before that. @default false */
  force?: boolean
}

/** Where to listen or whom to dial, checked. */
export interface Endpoint {
  readonly host: string | undefined
  readonly port: number
  readonly path: string | undefined
}

export function checkListenOptions(options: ListenOptions): Endpoint & { backlog: number } {
  checkObject(options, 'options')
  const backlog = checkOptionalInteger(options.backlog, 'options.backlog', 1, BACKLOG_MAX, BACKLOG)
  return { ...checkEndpoint(options, 0), backlog }
}

export function checkDialOptions(options: DialOptions): Endpoint & {
  localAddress: string | undefined
  localPort: number
  noDelay: boolean
  treatment: Required<ConnectionOptions>
} {
  checkObject(options, 'options')
  checkHandlers(options)
  return {
    treatment: checkTreatment(options),
    ...checkEndpoint(options, 1),
    localAddress: checkOptionalString(options.localAddress, 'options.localAddress'),
    localPort: checkOptionalInteger(options.localPort, 'options.localPort', 0, PORT_MAX, 0),
    noDelay: checkOptionalBoolean(options.noDelay, 'options.noDelay', true),
  }
}

/** Checks the handlers of a loop or a dial. */
export function checkHandlers(options: object): void {
  const all = options as Record<string, unknown>
  for (const name of ['onConnect', 'onRequest', 'onDisconnect', 'onError']) {
    checkOptionalFunction(all[name], `options.${name}`)
  }
}

/** Checks how connections are to be treated, and fills in what is not said. */
export function checkTreatment(options: ConnectionOptions): Required<ConnectionOptions> {
  const { autoRelease, readBufferMax, writeBufferMax } = options
  return {
    autoRelease: checkOptionalBoolean(autoRelease, 'options.autoRelease', true),
    readBufferMax: checkBufferMax(readBufferMax, 'readBufferMax', READ_BUFFER_MAX),
    writeBufferMax: checkBufferMax(writeBufferMax, 'writeBufferMax', WRITE_BUFFER_MAX),
  }
}

function checkBufferMax(value: number | undefined, name: string, fallback: number): number {
  return checkOptionalInteger(value, `options.${name}`, 1, BUFFER_MAX_MAX, fallback)
}

export function checkShutdownOptions(options: ShutdownOptions): void {
  checkObject(options, 'options')
  checkOptionalBoolean(options.force, 'options.force', false)
  if (options.deadlineMs !== undefined) {
    checkInteger(options.deadlineMs, 'options.deadlineMs', 0, 2 ** 31 - 1)
  }
}

function checkEndpoint(
  options: { host?: string; port?: number; path?: string },
  portMin: number,
): Endpoint {
  const path = checkOptionalString(options.path, 'options.path')
  const host = checkOptionalString(options.host, 'options.host')
  if (path !== undefined) {
    if (host !== undefined || options.port !== undefined) {
      throw invalidArgValue('options.path', path, 'excludes host and port')
    }
    if (path.includes('\0')) {
      throw invalidArgValue('options.path', path, 'must not contain null characters')
    }
    return { host: undefined, port: 0, path }
  }
  const port =
    options.port === undefined && portMin === 0
      ? 0
      : checkInteger(options.port, 'options.port', portMin, PORT_MAX)
  return { host, port, path: undefined }
}
