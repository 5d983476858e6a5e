import type { LookupFunction } from 'node:net'

/** How a socket is made: options of `new net.Socket()`, and of each socket of a server. */
export interface SocketOptions {
  /**
   * Whether FIN from the peer leaves the socket writable. Otherwise it is ended as well, after what
   * was written.
   *
   * @default false
   */
  allowHalfOpen?: boolean | undefined
  /** Bytes at which `write()` says `false` and reading stops. @default that of Node's streams */
  highWaterMark?: number | undefined
  /** The same for reading alone. */
  readableHighWaterMark?: number | undefined
  /** The same for writing alone. */
  writableHighWaterMark?: number | undefined
  /** Whether small segments are sent at once. @default true, unlike with node:net */
  noDelay?: boolean | undefined
  /** Whether the system probes a silent peer. @default false */
  keepAlive?: boolean | undefined
  /** Milliseconds of silence before the first probe. @default 0, which leaves it to the system */
  keepAliveInitialDelay?: number | undefined
  /** Destroys the socket when it is aborted. */
  signal?: AbortSignal | undefined
}

/** Whom to connect to: options of `net.Socket.connect()`. */
export interface SocketConnectOptions {
  /** The port, as a number or as text. */
  port?: number | string | undefined
  /** A name or an address. @default 'localhost' */
  host?: string | undefined
  /** The path of a unix socket, in place of host and port. */
  path?: string | null | undefined
  /** The address to connect from. */
  localAddress?: string | undefined
  /** The port to connect from. */
  localPort?: number | undefined
  /** 4 or 6: addresses of this family alone. @default 0, both */
  family?: number | undefined
  /** Hints for the look-up of the name. */
  hints?: number | undefined
  /** Looks the name up. @default dns.lookup */
  lookup?: LookupFunction | undefined
  /** Whether all addresses of a name are tried. @default true, as in Node 20 and later */
  autoSelectFamily?: boolean | undefined
  /** Milliseconds that each but the last address has. @default 250 */
  autoSelectFamilyAttemptTimeout?: number | undefined
}

/** Options of `net.connect()`. */
export interface ConnectOptions extends SocketOptions, SocketConnectOptions {
  /** Milliseconds without activity after which 'timeout' is emitted. @default 0, never */
  timeout?: number | undefined
}

/** Options of `net.createServer()`. */
export interface ServerOptions extends SocketOptions {
  /** Whether sockets are read only once somebody resumes them. @default false */
  pauseOnConnect?: boolean | undefined
}

/** Where to listen: options of `net.Server.listen()`. */
export interface ServerListenOptions {
  /** @default 0, which picks a free one */
  port?: number | string | null | undefined
  /** A name or an address of this machine. @default '::', or '0.0.0.0' where there is no IPv6 */
  host?: string | undefined
  /** The path of a unix socket, in place of host and port. */
  path?: string | undefined
  /** Connections that wait in the kernel to be accepted. @default 511 */
  backlog?: number | undefined
  /** Ignored: there is no sharing of ports with the processes of a cluster. */
  exclusive?: boolean | undefined
  /** Whether an IPv6 wildcard address leaves IPv4 alone. @default false */
  ipv6Only?: boolean | undefined
  /** Whether other listeners may have the same address and port. @default false */
  reusePort?: boolean | undefined
  /** Closes the server when it is aborted. */
  signal?: AbortSignal | undefined
}
