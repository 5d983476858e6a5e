import { lookup } from 'node:dns'
import { addAbortListener, EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'

import type { Connection } from '../connection.ts'
import { invalidArgType, invalidArgValue } from '../errors.ts'
import { createEventLoop } from '../event-loop.ts'
import { bind, type Listener } from '../listener.ts'
import { checkListenOptions } from '../options.ts'
import { backlogIn, checkPort, checkSource, normalize } from './arguments.ts'
import { alreadyListening, serverNotRunning, throwOutside } from './errors.ts'
import { READ_BUFFER_MAX, WRITE_BUFFER_MAX } from './limits.ts'
import type { ServerListenOptions, ServerOptions } from './options.ts'
import { Socket } from './socket.ts'

/** The backlog of node:net. */
const BACKLOG = 511

/**
 * Listens, and makes a {@link Socket} of each connection, with the methods, properties and events
 * of `net.Server`. Made by {@link createServer}.
 */
export class Server extends EventEmitter {
  /** Sockets beyond which peers are turned away at once, and 'drop' is emitted. @default none */
  maxConnections: number | undefined
  readonly #options: ServerOptions
  #listener: Listener | undefined
  /** Which call of `listen` counts: others have been overtaken by `close`. */
  #attempt = 0
  /** Listeners that are being closed. */
  #closing = 0
  #connections = 0
  #isReffed = true

  constructor(options: ServerOptions = {}, listener?: (socket: Socket) => void) {
    super()
    checkSource(options as Record<string, unknown>)
    this.#options = options
    if (listener !== undefined) this.on('connection', listener)
  }

  /**
   * Listens. Emits 'listening', or 'error' with the error of the operating system. Without a host
   * the address is known when it returns.
   */
  listen(options: ServerListenOptions, listener?: () => void): this
  listen(port?: number | string, host?: string, backlog?: number, listener?: () => void): this
  listen(port?: number | string, host?: string, listener?: () => void): this
  listen(port?: number | string, backlog?: number, listener?: () => void): this
  listen(port?: number | string, listener?: () => void): this
  listen(path: string, backlog?: number, listener?: () => void): this
  listen(path: string, listener?: () => void): this
  listen(listener?: () => void): this
  listen(...args: unknown[]): this {
    if (this.#listener !== undefined) throw alreadyListening()
    const { options, listener } = normalize<ServerListenOptions>(args)
    checkSource(options as Record<string, unknown>)
    const wanted = wantedOf(options, args)
    if (listener !== undefined) this.once('listening', listener)
    const attempt = ++this.#attempt
    if (options.signal !== undefined) this.#closeOnAbort(options.signal)
    if (wanted.host === undefined) {
      this.#begin(wanted)
      return this
    }
    lookup(wanted.host, (error, host) => {
      if (attempt !== this.#attempt) return
      if (error === null) this.#begin({ ...wanted, host })
      else this.emit('error', error)
    })
    return this
  }

  /**
   * Stops listening. 'close' is emitted, and the callback called, when all sockets have been
   * destroyed as well.
   */
  close(callback?: (error?: Error) => void): this {
    this.#attempt++
    const listener = this.#listener
    if (typeof callback === 'function') {
      if (listener === undefined) this.once('close', () => callback(serverNotRunning()))
      else this.once('close', callback)
    }
    this.#listener = undefined
    if (listener === undefined) {
      this.#closeIfDrained()
      return this
    }
    this.#closing++
    void listener.close().then(() => {
      this.#closing--
      this.#closeIfDrained()
    })
    return this
  }

  /** Where it listens: an object, the path of a unix socket, or `null`. */
  address(): AddressInfo | string | null {
    const address = this.#listener?.address
    if (address === undefined) return null
    return address.family === 'unix' ? address.path : address
  }

  /** Whether it listens. */
  get listening(): boolean {
    return this.#listener !== undefined
  }

  /** How many sockets are open. */
  getConnections(callback: (error: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this.#connections)
    return this
  }

  /** Lets it keep the process alive while it listens, as it does at first. */
  ref(): this {
    this.#isReffed = true
    this.#listener?.ref()
    return this
  }

  /** Lets the process end although it listens. */
  unref(): this {
    this.#isReffed = false
    this.#listener?.unref()
    return this
  }

  /** {@link Server.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    if (this.#listener === undefined) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.close((error) => (error === undefined ? resolve() : reject(error)))
    })
  }

  #begin(wanted: Wanted): void {
    let listener: Listener
    try {
      listener = bind(checkListenOptions(wanted))
    } catch (error) {
      process.nextTick(() =>
        this.emit('error', listenError(error as NodeJS.ErrnoException, wanted)),
      )
      return
    }
    this.#listener = listener
    if (!this.#isReffed) listener.unref()
    const { noDelay = true } = this.#options
    const loop = createEventLoop({
      noDelay,
      // The streams decide what becomes of the other direction.
      allowHalfOpen: true,
      readBufferMax: READ_BUFFER_MAX,
      writeBufferMax: WRITE_BUFFER_MAX,
      onConnect: (connection) => this.#accept(connection),
    })
    void loop.serve(listener)
    process.nextTick(() => {
      if (this.#listener === listener) this.emit('listening')
    })
  }

  #accept(connection: Connection): void {
    const { maxConnections } = this
    if (maxConnections !== undefined && this.#connections >= maxConnections) {
      this.#drop(connection)
      return
    }
    this.#connections++
    const { pauseOnConnect = false, signal: _, noDelay: __, ...options } = this.#options
    const socket = new Socket(options)
    socket.server = this
    if (pauseOnConnect) {
      connection.pause()
      socket.pause()
    }
    socket._take(connection, () => this.#gone())
    if (!pauseOnConnect) socket.read(0)
    try {
      this.emit('connection', socket)
    } catch (error) {
      throwOutside(error)
    }
  }

  #drop(connection: Connection): void {
    const { localAddress: local, remoteAddress: remote } = connection
    connection.destroy()
    const data =
      local.family === 'unix' || remote.family === 'unix'
        ? undefined
        : {
            localAddress: local.address,
            localPort: local.port,
            localFamily: local.family,
            remoteAddress: remote.address,
            remotePort: remote.port,
            remoteFamily: remote.family,
          }
    this.emit('drop', data)
  }

  #gone(): void {
    this.#connections--
    this.#closeIfDrained()
  }

  #closeIfDrained(): void {
    if (!this.#isDrained) return
    process.nextTick(() => {
      if (this.#isDrained) this.emit('close')
    })
  }

  get #isDrained(): boolean {
    return this.#listener === undefined && this.#closing === 0 && this.#connections === 0
  }

  #closeOnAbort(signal: AbortSignal): void {
    const close = (): void => void this.close()
    if (signal.aborted) {
      process.nextTick(close)
      return
    }
    const subscription = addAbortListener(signal, close)
    this.once('close', () => subscription[Symbol.dispose]())
  }
}

/** The error of a listener as node:net has it: port 0 is not told, and that of a path is −1. */
function listenError(error: NodeJS.ErrnoException, { port, path }: Wanted): Error {
  if (path !== undefined) return Object.assign(error, { port: -1 })
  if (port !== 0) return error
  error.message = error.message.replace(/:0$/, '')
  return Object.assign(error, { port: undefined })
}

/** Options of a listener, all that is known of them. */
interface Wanted {
  host?: string
  port?: number
  path?: string
  backlog: number
  ipv6Only?: boolean
  reusePort?: boolean
}

function wantedOf(options: ServerListenOptions, args: readonly unknown[]): Wanted {
  const { host, path, ipv6Only = false, reusePort = false } = options
  const backlog = options.backlog || backlogIn(args) || BACKLOG
  const [first] = args
  // `listen()`, `listen(callback)`, `listen(null)`, or a port that is undefined: a free one.
  const isOpen = first === undefined || first === null || typeof first === 'function'
  const isUnset = 'port' in options && (options.port === undefined || options.port === null)
  if (!isOpen && !isUnset && options.port === undefined) {
    if (typeof path === 'string' && path !== '') return { path, backlog }
    const reason = 'must have the property "port" or "path"'
    throw invalidArgValue('options', options, reason)
  }
  const port = isOpen || isUnset ? 0 : checkPort(options.port)
  return { ...(host ? { host } : {}), port, backlog, ipv6Only, reusePort }
}

/**
 * Makes a server, as `net.createServer()` does: it listens once {@link Server.listen} is called.
 *
 * @example
 * ```ts
 * import { createServer } from 'nodepoll/stream'
 *
 * const server = createServer((socket) => {
 *   socket.on('error', () => {}).pipe(socket)
 * })
 * server.listen(0, '127.0.0.1', () => {
 *   console.log(server.address())
 *   server.close()
 * })
 * ```
 */
export function createServer(listener?: (socket: Socket) => void): Server
export function createServer(options?: ServerOptions, listener?: (socket: Socket) => void): Server
export function createServer(
  first: ServerOptions | ((socket: Socket) => void) = {},
  listener?: (socket: Socket) => void,
): Server {
  if (typeof first === 'function') return new Server({}, first)
  if (first === null) return new Server({}, listener)
  if (typeof first !== 'object') throw invalidArgType('options', 'of type object', first)
  return new Server(first, listener)
}
