import { isIP } from 'node:net'

import type { Connection } from './connection.ts'
import { invalidArgValue } from './errors.ts'
import {
  BACKLOG,
  BACKLOG_MAX,
  BUFFER_MAX_MAX,
  KEEP_ALIVE_COUNT_MAX,
  KEEP_ALIVE_MS_MAX,
  READ_BUFFER_MAX,
  WRITE_BUFFER_MAX,
} from './internal/limits.ts'
import {
  checkInteger,
  checkMillis,
  checkObject,
  checkOptionalBoolean,
  checkOptionalFunction,
  checkOptionalInteger,
  checkOptionalMillis,
  checkOptionalSignal,
  checkOptionalString,
} from './internal/validate.ts'

const PORT_MAX = 65_535

/** Called when there is unread input and no handler of the connection is pending. */
export type OnRequest<C = undefined> = (connection: Connection, context: C) => void | Promise<void>

/** Called at most once, at once, when the peer, not us, has ended the connection. */
export type OnDisconnect<C = undefined> = (connection: Connection, context: C) => void

/** Called with what a handler threw, or without a connection when accepting fails. */
export type OnError = (error: unknown, connection: Connection | undefined) => void

/** Called for a new connection before anything is read. What it returns becomes the context. */
export type OnPrepare<C = undefined> = (connection: Connection) => C | void

/** How the system probes a silent peer (RFC 1122, 4.2.3.6). Fractions of a second round up. */
export interface KeepAlive {
  /** Milliseconds of silence before the first probe. */
  idleMs: number
  /** Milliseconds between probes. @default the system's */
  intervalMs?: number
  /** Probes without an answer that end the connection. @default the system's */
  count?: number
}

/** How a connection is treated, whoever began it. */
export interface ConnectionOptions {
  /**
   * Whether FIN from the peer ends only the input: reads fail with `ERR_NODEPOLL_EOF`, and the
   * connection stays active and writable until we end it. Otherwise it is closed as soon as no
   * handler is pending.
   *
   * @default false
   */
  allowHalfOpen?: boolean
  /** Whether small segments are sent at once. @default true */
  noDelay?: boolean
  /** Whether and how the system probes a silent peer. @default false */
  keepAlive?: KeepAlive | false
  /** How long a waiting read may take: see {@link Connection.setReadTimeout}. @default 0, none */
  readTimeoutMs?: number
  /** How long `drained()` may take: see {@link Connection.setWriteTimeout}. @default 0, none */
  writeTimeoutMs?: number
  /** Silence that ends a connection: see {@link Connection.setIdleTimeout}. @default 0, none */
  idleTimeoutMs?: number
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
   * Called for each new connection before a byte of it is read; synchronous. What it returns
   * becomes the context of the later handlers. If it closes the connection no other handler is
   * called for it: this is where a peer is turned away.
   */
  onPrepare?(connection: Connection): C | void
  /**
   * Called for each new connection; may read and write. `onRequest` waits until it has settled.
   * What it returns becomes the context of the later handlers.
   */
  onConnect?(connection: Connection, context: C): C | void | Promise<C | void>
  /**
   * Called when there is unread input and no handler of the connection is pending. Once it has
   * settled it is called again if unread input remains and it has consumed something, or more has
   * arrived; one that consumes nothing waits for more. It is called at least once for any input,
   * also when the peer has gone. A handler that throws or rejects ends its connection, and
   * `onError` is told, unless it fails because the connection has ended.
   */
  onRequest?(connection: Connection, context: C): void | Promise<void>
  /**
   * Called at most once, at once, when the peer has ended the connection; also while `onRequest` is
   * pending. Not called when we have ended it.
   */
  onDisconnect?(connection: Connection, context: C): void
  /**
   * Called with what a handler threw, and without a connection when accepting fails.
   *
   * @default process.emitWarning
   */
  onError?(error: unknown, connection: Connection | undefined): void
  /**
   * Connections that may be open at a time, those of all listeners together. Beyond it peers wait
   * in the kernel to be accepted.
   *
   * @default none
   */
  connectionsMax?: number
}

/** Where to listen: a host and a port, or the path of a unix socket. */
export interface ListenOptions {
  /**
   * A name or an address of this machine.
   *
   * @default '::' (which takes IPv4 too), or '0.0.0.0' where there is no IPv6
   */
  host?: string
  /** From 0, which picks a free one, to 65535. @default 0 */
  port?: number
  /**
   * The path of a unix socket, in place of host and port. Its file goes with the listener. With a
   * null character in front it is a name in the abstract namespace, which Linux alone has.
   */
  path?: string
  /**
   * Connections that wait in the kernel to be accepted.
   *
   * @default 1024
   */
  backlog?: number
  /**
   * Whether other listeners may have the same address and port; the kernel spreads peers over them.
   * Where it does not, listening fails with `ERR_NODEPOLL_UNSUPPORTED`. Not for unix sockets.
   *
   * @default false
   */
  reusePort?: boolean
  /** Whether an IPv6 wildcard address leaves IPv4 alone. @default false */
  ipv6Only?: boolean
  /** Closes the listener when it is aborted. */
  signal?: AbortSignal
}

/** Whom to dial: a host and a port, or the path of a unix socket. */
export interface DialOptions extends ConnectionOptions {
  /** A name or an address. Names are looked up by `dns.lookup`. @default 'localhost' */
  host?: string
  /** From 1 to 65535. Required, unless there is a path. */
  port?: number
  /** The path of a unix socket, in place of host and port. */
  path?: string
  /** The address to dial from, not a name. Not for unix sockets. */
  localAddress?: string
  /** The port to dial from. Not for unix sockets. @default 0, which picks a free one */
  localPort?: number
  /** Milliseconds in which it has to connect, the look-up of the name included. @default 0, none */
  timeoutMs?: number
  /** Gives the dial up when it is aborted: it rejects with the reason. No effect afterwards. */
  signal?: AbortSignal
  /** As of an event loop. Without it input is read with `connection.reader` and `input`. */
  onRequest?: OnRequest
  /** As of an event loop: called at most once, when the peer has ended the connection. */
  onDisconnect?: OnDisconnect
  /** As of an event loop: called with what a handler threw. @default process.emitWarning */
  onError?: OnError
}

/** How an event loop is shut down. */
export interface ShutdownOptions {
  /** Milliseconds after which the call rejects with `ERR_NODEPOLL_DEADLINE`. @default none */
  deadlineMs?: number
  /** Whether what remains at the deadline is reset before that. @default false */
  force?: boolean
  /** Gives up, as the deadline does, when it is aborted; its reason becomes the error's cause. */
  signal?: AbortSignal
}

/** Where to listen or whom to dial, checked. */
export interface Endpoint {
  readonly host: string | undefined
  readonly port: number
  readonly path: string | undefined
}

/** How to listen, checked. */
export interface Listening extends Endpoint {
  readonly backlog: number
  readonly reusePort: boolean
  readonly ipv6Only: boolean
  readonly signal: AbortSignal | undefined
}

/** How to dial, checked. */
export interface Dialing extends Endpoint {
  readonly localAddress: string | undefined
  readonly localPort: number
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly treatment: CheckedTreatment
}

/** Connection options, checked and complete. */
export type CheckedTreatment = Required<ConnectionOptions>

export function checkListenOptions(options: ListenOptions): Listening {
  checkObject(options, 'options')
  const endpoint = checkEndpoint(options, 0)
  const reusePort = checkOptionalBoolean(options.reusePort, 'options.reusePort', false)
  if (reusePort) checkNoPath(endpoint, 'reusePort')
  return {
    ...endpoint,
    backlog: checkOptionalInteger(options.backlog, 'options.backlog', 1, BACKLOG_MAX, BACKLOG),
    reusePort,
    ipv6Only: checkOptionalBoolean(options.ipv6Only, 'options.ipv6Only', false),
    signal: checkOptionalSignal(options.signal, 'options.signal'),
  }
}

export function checkDialOptions(options: DialOptions): Dialing {
  checkObject(options, 'options')
  checkHandlers(options)
  const endpoint = checkEndpoint(options, 1)
  const localAddress = checkOptionalAddress(options.localAddress, 'options.localAddress')
  const localPort = checkOptionalInteger(options.localPort, 'options.localPort', 0, PORT_MAX, 0)
  if (localAddress !== undefined || localPort > 0) checkNoPath(endpoint, 'a local address')
  return {
    treatment: checkTreatment(options),
    ...endpoint,
    localAddress,
    localPort,
    timeoutMs: checkOptionalMillis(options.timeoutMs, 'options.timeoutMs'),
    signal: checkOptionalSignal(options.signal, 'options.signal'),
  }
}

/** Checks the handlers of a loop or a dial. */
export function checkHandlers(options: object): void {
  const all = options as Record<string, unknown>
  for (const name of ['onPrepare', 'onConnect', 'onRequest', 'onDisconnect', 'onError']) {
    checkOptionalFunction(all[name], `options.${name}`)
  }
}

/** Checks how connections are to be treated, and fills in what is not said. */
export function checkTreatment(options: ConnectionOptions): CheckedTreatment {
  const { autoRelease, readBufferMax, writeBufferMax, allowHalfOpen, noDelay } = options
  const { keepAlive = false } = options
  return {
    allowHalfOpen: checkOptionalBoolean(allowHalfOpen, 'options.allowHalfOpen', false),
    noDelay: checkOptionalBoolean(noDelay, 'options.noDelay', true),
    keepAlive: checkKeepAlive(keepAlive, 'options.keepAlive'),
    readTimeoutMs: checkOptionalMillis(options.readTimeoutMs, 'options.readTimeoutMs'),
    writeTimeoutMs: checkOptionalMillis(options.writeTimeoutMs, 'options.writeTimeoutMs'),
    idleTimeoutMs: checkOptionalMillis(options.idleTimeoutMs, 'options.idleTimeoutMs'),
    autoRelease: checkOptionalBoolean(autoRelease, 'options.autoRelease', true),
    readBufferMax: checkBufferMax(readBufferMax, 'readBufferMax', READ_BUFFER_MAX),
    writeBufferMax: checkBufferMax(writeBufferMax, 'writeBufferMax', WRITE_BUFFER_MAX),
  }
}

function checkBufferMax(value: number | undefined, name: string, fallback: number): number {
  return checkOptionalInteger(value, `options.${name}`, 1, BUFFER_MAX_MAX, fallback)
}

export function checkKeepAlive(value: KeepAlive | false, name: string): KeepAlive | false {
  if (value === false) return false
  const { idleMs, intervalMs, count } = checkObject(value, name)
  checkInteger(idleMs, `${name}.idleMs`, 1, KEEP_ALIVE_MS_MAX)
  checkOptionalInteger(intervalMs, `${name}.intervalMs`, 1, KEEP_ALIVE_MS_MAX, 1)
  checkOptionalInteger(count, `${name}.count`, 1, KEEP_ALIVE_COUNT_MAX, 1)
  return value
}

/** The same in whole seconds, as systems have it; 0 leaves it to them. `null` is none. */
export function keepAliveWords(
  keepAlive: KeepAlive | false,
): { idleSeconds: number; intervalSeconds: number; count: number } | null {
  if (keepAlive === false) return null
  const { idleMs, intervalMs = 0, count = 0 } = keepAlive
  return {
    idleSeconds: Math.ceil(idleMs / 1000),
    intervalSeconds: Math.ceil(intervalMs / 1000),
    count,
  }
}

/** The most connections that a loop may have; 0 is no limit. */
export function checkConnectionsMax(value: number | undefined): number {
  return checkOptionalInteger(value, 'options.connectionsMax', 1, 2 ** 31 - 1, 0)
}

export function checkShutdownOptions(options: ShutdownOptions): void {
  checkObject(options, 'options')
  checkOptionalBoolean(options.force, 'options.force', false)
  if (options.deadlineMs !== undefined) {
    checkMillis(options.deadlineMs, 'options.deadlineMs')
  }
  checkOptionalSignal(options.signal, 'options.signal')
}

/** What only sockets with addresses have must not be asked of a unix socket. */
function checkNoPath({ path }: Endpoint, what: string): void {
  if (path !== undefined) throw invalidArgValue('options.path', path, `excludes ${what}`)
}

/** An IP address. Systems know the names of scopes, and we their numbers only. */
function checkOptionalAddress(value: unknown, name: string): string | undefined {
  const address = checkOptionalString(value, name)
  if (address === undefined) return undefined
  const [, bare = '', scope] = /^([^%]+)(%\d{1,9})?$/.exec(address) ?? []
  if (isIP(bare) === 6 || (isIP(bare) === 4 && scope === undefined)) return address
  throw invalidArgValue(name, address, 'must be an IP address')
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
    if (path.includes('\0', 1) || path === '\0') {
      throw invalidArgValue('options.path', path, 'must not contain null characters but in front')
    }
    return { host: undefined, port: 0, path }
  }
  const port =
    options.port === undefined && portMin === 0
      ? 0
      : checkInteger(options.port, 'options.port', portMin, PORT_MAX)
  return { host, port, path: undefined }
}
