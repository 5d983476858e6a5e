import { addAbortSignal, type DuplexOptions } from 'node:stream'

import type { Connection } from '../connection.ts'
import type { CloseReason } from '../internal/close-reason.ts'
import { checkMillis, checkOptionalFunction } from '../internal/validate.ts'
import { checkConnectOptions, checkSource, normalize } from './arguments.ts'
import { dialFor } from './dialing.ts'
import { Endpoint } from './endpoint.ts'
import {
  closedBeforeConnection,
  endedByOtherParty,
  notTcp,
  socketClosed,
  throwOutside,
} from './errors.ts'
import { Inactivity } from './inactivity.ts'
import { Inflow } from './inflow.ts'
import { KEEP_ALIVE_MS, KEEP_ALIVE_MS_MAX, LEAVE_MS } from './limits.ts'
import type { ConnectOptions, SocketConnectOptions, SocketOptions } from './options.ts'
import { type Done, Outflow, outputError, type Piece, sizeOf } from './outflow.ts'

const noop = (): void => {}

/** One of the states that a socket of node:net can be in. */
export type ReadyState = 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed'

/**
 * A connection as a stream, with the methods, properties and events of `net.Socket`. Made by
 * {@link connect}, by a {@link Server}, by {@link toDuplex}, or with `new Socket()` to be connected
 * later.
 *
 * What it has not: `_handle`, a file descriptor, `onread`. It is no instance of `net.Socket`.
 */
export class Socket extends Endpoint {
  /** Whether it is about to connect. */
  connecting = false
  /** Milliseconds that `setTimeout` was given. */
  timeout: number | undefined
  /** The server that it belongs to, if any; servers set it. */
  server: unknown = null
  /** Never set: encryption is for a `tls.TLSSocket` over this one. */
  declare readonly encrypted: undefined
  /** Never set, likewise. */
  declare readonly alpnProtocol: undefined
  #inflow: Inflow | undefined
  #outflow: Outflow | undefined
  #dialing: AbortController | undefined
  readonly #inactivity: Inactivity = new Inactivity(
    () => this.emit('timeout'),
    () => (this.writableLength > 0 ? this._connection?.bytesWritten : undefined),
  )
  #dispatched = 0
  /** Somebody wants to be told of a write that has not been begun. */
  #isExact = false
  #isReset = false
  /** The stream wants what comes once it is connected. */
  #isReadDue = false
  #noDelay: boolean | undefined
  #keepAlive: number | false = false
  /** Told when it is destroyed: by the server, which counts its sockets. */
  #gone: () => void = noop

  constructor(options: SocketOptions = {}) {
    checkSource(options as Record<string, unknown>)
    const { signal, ...streaming } = options
    super({
      ...(streaming as DuplexOptions),
      allowHalfOpen: options.allowHalfOpen === true,
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
    })
    this.#noDelay = options.noDelay
    if (options.keepAlive === true) this.#keepAlive = options.keepAliveInitialDelay ?? 0
    this.on('end', () => {
      if (!this.allowHalfOpen) this.write = this.#writeAfterEnd
    })
    // Not by the stream, which would destroy what is not made yet.
    if (signal !== undefined) addAbortSignal(signal, this)
  }

  /** Goes on over an open connection. @internal */
  _take(connection: Connection, gone: () => void = noop): this {
    this.#gone = gone
    this.#open(connection)
    return this
  }

  /**
   * Connects. Emits 'lookup' for each address of a name, 'connect' and 'ready' when connected, else
   * 'error' and 'close'.
   */
  connect(options: SocketConnectOptions, listener?: () => void): this
  connect(port: number | string, host: string, listener?: () => void): this
  connect(port: number | string, listener?: () => void): this
  connect(path: string, listener?: () => void): this
  connect(...args: unknown[]): this {
    const { options, listener } = normalize<ConnectOptions>(args)
    if (listener !== undefined) this.once('connect', listener)
    checkConnectOptions(options)
    if (Object.hasOwn(this, 'write')) this.write = Socket.prototype.write
    // A socket may be used again, as with node:net.
    if (this.destroyed) this.#revive()
    this.#inactivity.note()
    this.connecting = true
    const dialing = new AbortController()
    this.#dialing = dialing
    dialFor(this, options, dialing.signal).then(
      // Not in a promise, which would hold what listeners throw.
      (connection) => process.nextTick(() => this.#connected(connection, dialing)),
      (error: Error) => process.nextTick(() => this.#refused(error, dialing)),
    )
    return this
  }

  /** Whether small segments are sent at once. */
  setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay
    this._connection?.setNoDelay(noDelay)
    return this
  }

  /** Whether the system probes a silent peer, after `initialDelay` milliseconds of silence. */
  setKeepAlive(enable = false, initialDelay = 0): this {
    this.#keepAlive = enable ? initialDelay : false
    if (this._connection !== undefined) this.#probe(this._connection)
    return this
  }

  /** After how long without activity 'timeout' is emitted, which ends nothing; 0 is never. */
  setTimeout(ms: number, callback?: () => void): this {
    if (this.destroyed) return this
    this.timeout = ms
    checkMillis(ms, 'msecs')
    checkOptionalFunction(callback, 'callback')
    this.#inactivity.set(ms)
    if (callback === undefined) return this
    return ms > 0 ? this.once('timeout', callback) : this.removeListener('timeout', callback)
  }

  /** Lets the socket keep the process alive, as it does at first. */
  ref(): this {
    if (this._connection === undefined) return this.once('connect', this.ref)
    this._connection.ref()
    return this
  }

  /** Lets the process end although it is open. */
  unref(): this {
    if (this._connection === undefined) return this.once('connect', this.unref)
    this._connection.unref()
    return this
  }

  /** Destroys the socket once what was written has left. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  /** Destroys the socket at once, with RST. */
  resetAndDestroy(): this {
    const reset = (): this => {
      if (this._connection?.localAddress.family === 'unix') throw notTcp()
      this.#isReset = true
      return this.destroy()
    }
    if (this.connecting) return this.once('connect', reset)
    return this._connection === undefined ? this.destroy(socketClosed()) : reset()
  }

  /**
   * As of any Writable. It is done when nodepoll has the bytes, which leave by the end of the turn
   * of the event loop, also if the socket is destroyed or the process ends. With a callback it is
   * done when the kernel has taken them, if of more than 64 KiB it is not known that it has.
   *
   * @param callback Called then, or with an error.
   */
  override write(chunk: unknown, callback?: (error?: Error | null) => void): boolean
  /**
   * The same for text in an encoding.
   *
   * @param callback Called when it is done, or with an error.
   */
  override write(
    chunk: unknown,
    encoding: BufferEncoding,
    callback?: (error?: Error | null) => void,
  ): boolean
  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    if (typeof callback === 'function' || typeof encoding === 'function') this.#isExact = true
    return super.write(chunk, encoding as BufferEncoding, callback as Done)
  }

  /** Whether it is not connected yet, or no more. */
  get pending(): boolean {
    return this._connection === undefined || this.connecting || this.destroyed
  }

  /** Which directions are open. */
  get readyState(): ReadyState {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** Bytes that were written, whether they have left or not. */
  get bytesWritten(): number {
    const { writableBuffer = [] } = this as { writableBuffer?: readonly Piece[] }
    return writableBuffer.reduce((sum, piece) => sum + sizeOf(piece), this.#dispatched)
  }

  /** @internal */
  override _read(): void {
    if (this.#inflow === undefined || this.connecting) this.#isReadDue = true
    else this.#inflow.read()
  }

  /** @internal */
  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, done: Done): void {
    this.#send([{ chunk, encoding }], done)
  }

  /** @internal */
  override _writev(pieces: Piece[], done: Done): void {
    this.#send(pieces, done)
  }

  /** @internal */
  override _final(done: Done): void {
    const connection = this._connection
    if (this.connecting || connection === undefined) {
      this.once('connect', () => this._final(done))
      return
    }
    this.#outflow?.flush()
    connection.closeWrite().then(
      () => done(),
      (error: unknown) => done(outputError(error)),
    )
  }

  /** @internal */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const wasConnecting = this.connecting
    const connection = this._connection
    this.connecting = false
    this.#inactivity.stop()
    this.#dialing?.abort()
    this.#outflow?.abandon()
    if (connection !== undefined) this.#leave(connection)
    done(error)
    if (connection === undefined && !wasConnecting) {
      process.nextTick(() => this.emit('close'))
    } else {
      // As when the handle of node:net is closed: behind all ticks.
      setImmediate(() => {
        this.#outflow?.close()
        this.emit('close', error !== null)
      })
    }
    this.#gone()
    this.#gone = noop
  }

  #revive(): void {
    ;(this as unknown as { _undestroy(): void })._undestroy()
    this._connection = undefined
    this.#inflow = undefined
    this.#outflow = undefined
    this.#dispatched = 0
    this.#isReset = false
    this.#isReadDue = false
  }

  #open(connection: Connection): void {
    this._connection = connection
    const outflow = new Outflow(connection)
    this.#outflow = outflow
    this.#inflow = new Inflow(this, connection, () => {
      this.#inactivity.note()
      outflow.inputCame()
    })
    if (this.#noDelay === false) connection.setNoDelay(false)
    if (this.#keepAlive !== false) this.#probe(connection)
    this.#inflow.begin()
    connection.addCloseCallback((_, reason) => this.#ended(reason))
  }

  #connected(connection: Connection, dialing: AbortController): void {
    // It was destroyed while it connected.
    if (dialing.signal.aborted || this.destroyed) {
      connection.destroy()
      return
    }
    this.#open(connection)
    this.connecting = false
    this.#inactivity.note()
    this.emit('connect')
    this.emit('ready')
    if (this.destroyed) return
    // What has come already comes behind these.
    if (this.#isReadDue) this.#inflow?.read()
    else if (!this.isPaused()) this.read(0)
  }

  #refused(error: Error, dialing: AbortController): void {
    if (!dialing.signal.aborted) this.destroy(error)
  }

  /** The connection has ended, whoever ended it. */
  #ended({ by, error }: CloseReason): void {
    if (this.destroyed) return
    try {
      // Who has received FIN reads no more with node:net, and hears of a reset only if it writes.
      const isWriting = this.#inflow?.isLast === true
      if (by === 'error' && (!isWriting || this.#outflow?.isBusy === true)) {
        const reason = outputError(error)
        if (isWriting) this.#outflow?.fail(reason)
        this.destroy(reason)
        return
      }
      this.#inflow?.end()
      // Both have sent FIN, and the stream ends in its own time; or nodepoll has ended it.
      if (by === 'peer' || by === 'error') return
      if (this.readableEnded || this.readableLength === 0) this.destroy()
      else this.once('end', () => this.destroy())
    } catch (thrown) {
      throwOutside(thrown)
    }
  }

  #send(pieces: readonly Piece[], done: Done): void {
    let bytes = 0
    for (const piece of pieces) bytes += sizeOf(piece)
    this.#dispatched += bytes
    const isExact = this.#isExact
    this.#isExact = false
    this.#inactivity.note()
    if (this.connecting) this.#sendOnceConnected(pieces, bytes, isExact, done)
    else if (this.#outflow === undefined) done(socketClosed())
    else this.#outflow.send(pieces, bytes, isExact, done)
  }

  #sendOnceConnected(pieces: readonly Piece[], bytes: number, isExact: boolean, done: Done): void {
    const closed = (): void => done(closedBeforeConnection())
    this.once('close', closed)
    this.once('connect', () => {
      this.off('close', closed)
      this.#outflow?.send(pieces, bytes, isExact, done)
    })
  }

  /** What nodepoll has of the output leaves, as what the kernel has does with node:net. */
  #leave(connection: Connection): void {
    if (this.#isReset) {
      this.#outflow?.flush()
      connection.reset()
      return
    }
    const end = (): void => connection.destroy()
    if (this.#dispatched === 0) {
      end()
      return
    }
    connection.setWriteTimeout(LEAVE_MS)
    this.#outflow?.leave().then(end, end)
  }

  #probe(connection: Connection): void {
    const delay = this.#keepAlive
    const idleMs = Math.min(Math.trunc(Number(delay)) || KEEP_ALIVE_MS, KEEP_ALIVE_MS_MAX)
    connection.setKeepAlive(delay === false ? false : { idleMs })
  }

  #writeAfterEnd(chunk: unknown, ...rest: unknown[]): boolean {
    if (!this.writableEnded) return super.write(chunk, ...(rest as [BufferEncoding, Done]))
    const error = endedByOtherParty()
    const callback = rest.find((each) => typeof each === 'function') as Done | undefined
    if (callback !== undefined) process.nextTick(callback, error)
    this.destroy(error)
    return false
  }
}
