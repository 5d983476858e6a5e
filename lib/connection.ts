import { type Address, type PackedAddress, unpackAddress } from './internal/address.ts'
import type { Chain } from './internal/chain.ts'
import type { CloseReason } from './internal/close-reason.ts'
import type { Opened } from './internal/dispatcher.ts'
import type { Handler, Handlers } from './internal/handlers.ts'
import type { Intake } from './internal/intake.ts'
import { Lifecycle } from './internal/lifecycle.ts'
import { ENDED, FINISHED, PAUSED, UNREFFED, WRITE_CLOSED } from './internal/flags.ts'
import { checkBoolean, checkFunction, checkMillis, checkTime } from './internal/validate.ts'
import type { Waits } from './internal/waits.ts'
import { LinkBuffer } from './link-buffer.ts'
import {
  COMMAND_CLOSE,
  COMMAND_CLOSE_WRITE,
  COMMAND_DESTROY,
  COMMAND_IDLE,
  COMMAND_NO_DELAY,
  COMMAND_PAUSE,
  COMMAND_RESET,
  COMMAND_RESUME,
} from './native/record.ts'
import {
  checkKeepAlive,
  type KeepAlive,
  type OnDisconnect,
  type OnRequest,
  keepAliveWords,
} from './options.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

const NO_KEEP_ALIVE = { idleSeconds: 0, intervalSeconds: 0, count: 0 }

/** Called once, when the connection has ended: see {@link Connection.addCloseCallback}. */
export type CloseCallback = (connection: Connection, reason: CloseReason) => void | Promise<void>

/**
 * One connection, accepted or dialled.
 *
 * Bytes are read with `input`, which does not wait, or with `reader`, which does; both see the same
 * bytes. They are written with `writer`, or with `write()` in one call.
 *
 * Every method is safe after the end: reads serve what is left and then fail with
 * `ERR_NODEPOLL_EOF` (the peer ended it) or `ERR_NODEPOLL_CONNECTION_CLOSED` (we did), writes throw
 * `ERR_NODEPOLL_CONNECTION_CLOSED`, setters, `close()` and `destroy()` do nothing.
 *
 * An open connection keeps the process alive. Follows the `Connection` of CloudWeGo's netpoll.
 *
 * @example
 * ```ts
 * import { dial, serve } from 'nodepoll'
 *
 * await using server = await serve({
 *   host: '127.0.0.1',
 *   onRequest({ input, writer }) {
 *     writer.append(input).flush()
 *   },
 * })
 *
 * await using connection = await dial({ host: '127.0.0.1', port: server.address.port })
 * connection.addCloseCallback((_, { by }) => console.log('ended by', by))
 * connection.write('hello')
 * console.log(await connection.reader.readString(5))
 * ```
 */
export class Connection extends Lifecycle {
  /** Our end: for an accepted connection where the peer has connected to. */
  readonly localAddress: Address
  #remote: PackedAddress
  /** Up to where the driver may receive, while there is no input. */
  #window: number

  /** `path` is for unix sockets, whose addresses no event brings. @internal */
  constructor(handlers: Handlers, opened: Opened, path: Address) {
    super(handlers, opened)
    this.localAddress = opened.local ?? path
    this.#remote = opened.remote ?? path
    this.#window = handlers.readBufferMax
  }

  /** The peer's end. The peers of a unix socket have no path of their own: it is the listener's. */
  get remoteAddress(): Address {
    const address = unpackAddress(this.#remote)
    this.#remote = address
    return address
  }

  /**
   * The bytes that have arrived and are unread. Its calls never wait: what is not there yet throws
   * `ERR_NODEPOLL_SHORT_BUFFER`. It can be read, and not be written.
   */
  override get input(): LinkBuffer {
    return (this._input ??= new LinkBuffer(undefined, this))
  }

  /** Reads the same bytes, and waits until enough have arrived. */
  get reader(): Reader {
    return (this._extras.reader ??= new Reader(this))
  }

  /** Builds output, and sends it with {@link Writer.flush}. */
  get writer(): Writer {
    return (this._writer ??= new Writer(this))
  }

  /**
   * Writes and flushes, with what was written before and not flushed. The bytes are copied, and
   * stay the caller's; for the one exception see {@link Writer.writeBinary}. `false` means that
   * more than `writeBufferMax` is pending: see {@link Writer.flush}.
   *
   * @param data Bytes, or text that is encoded as UTF-8.
   * @throws `ERR_NODEPOLL_CONNECTION_CLOSED` after the end, and `ERR_NODEPOLL_WRITE_LIMIT` as
   *   `flush` does; then nothing of `data` is written.
   */
  write(data: Uint8Array | string): boolean {
    return this.writer._send(data)
  }

  /**
   * Stops reading the socket, until {@link Connection.resume}: the peer has to wait. `onRequest`
   * is still called for input that is there, but not for what was on its way. An end of the
   * connection may be told as late as after `resume()`. A shutdown closes the connection if nothing
   * has arrived, and else waits for `resume()`.
   */
  pause(): this {
    if (this._flags & (PAUSED | ENDED)) return this
    this._flags |= PAUSED
    this._command(COMMAND_PAUSE)
    return this
  }

  /** Reads the socket again. Input that came while it was paused is there for `onRequest`. */
  resume(): this {
    if ((this._flags & PAUSED) === 0) return this
    this._flags &= ~PAUSED
    if (!this._hasEnded) this._command(COMMAND_RESUME)
    this._showWithheld()
    this._advanceSoon()
    return this
  }

  /** Whether {@link Connection.pause} is in force. */
  get isPaused(): boolean {
    return (this._flags & PAUSED) !== 0
  }

  /**
   * How long a waiting read may take, counted from its call, also for one that waits now. It then
   * rejects with `ERR_NODEPOLL_READ_TIMEOUT`; nothing is consumed, and the connection stays usable.
   * Calls of `input` never wait and know no timeout.
   *
   * @param ms An integer from 0, which is no limit, to 2³¹ − 1.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for any other.
   */
  setReadTimeout(ms: number): this {
    checkMillis(ms, 'ms')
    return this._wait('reading', (patience) => (patience.ms = ms))
  }

  /**
   * How long {@link Writer.drained} may take, counted from its call, also for those that wait now.
   * It then rejects with `ERR_NODEPOLL_WRITE_TIMEOUT`; the bytes stay queued in order. It also
   * bounds the time in which {@link Connection.close} sends what was flushed.
   *
   * @param ms An integer from 0, which is no limit, to 2³¹ − 1.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for any other.
   */
  setWriteTimeout(ms: number): this {
    checkMillis(ms, 'ms')
    return this._wait('writing', (patience) => (patience.ms = ms))
  }

  /**
   * After how long without a byte in or out the connection is closed, with the reason `timeout`,
   * also while a handler is pending. It is closed gracefully, and its output has as long as this to
   * leave. Not TCP's keep-alive, for which there is {@link Connection.setKeepAlive}.
   *
   * @param ms An integer from 0, which is never, to 2³¹ − 1.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for any other.
   */
  setIdleTimeout(ms: number): this {
    this._extras.idleMs = checkMillis(ms, 'ms')
    if (!this._hasEnded) this._command(COMMAND_IDLE, ms)
    return this
  }

  /**
   * Until when reads may wait, in place of the read timeout, until it is set to `null`. Reads of
   * what is there are granted later, too.
   *
   * @param at A point in time: a `Date` or milliseconds since the epoch. What becomes of the
   *   system's clock afterwards does not matter. One that is over lets no read wait.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for what is no point in time.
   */
  setReadDeadline(at: Date | number | null): this {
    const time = checkTime(at, 'at')
    return this._wait('reading', (patience) => (patience.deadline = time))
  }

  /**
   * Until when {@link Writer.drained} may wait, in place of the write timeout, until it is set to
   * `null`.
   *
   * @param at As for {@link Connection.setReadDeadline}.
   */
  setWriteDeadline(at: Date | number | null): this {
    const time = checkTime(at, 'at')
    return this._wait('writing', (patience) => (patience.deadline = time))
  }

  /**
   * Whether small segments are sent at once (`TCP_NODELAY`), as they are unless the options of the
   * loop or the dial say otherwise. No effect on unix sockets.
   *
   * @throws `ERR_INVALID_ARG_TYPE` if it is no boolean.
   */
  setNoDelay(on: boolean): this {
    checkBoolean(on, 'on')
    if (!this._hasEnded) this._command(COMMAND_NO_DELAY, on ? 1 : 0)
    return this
  }

  /**
   * Whether and how the system probes a silent peer. A peer that does not answer ends the
   * connection with `ETIMEDOUT`. No effect on unix sockets.
   *
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for wrong options.
   */
  setKeepAlive(options: KeepAlive | false): this {
    const words = keepAliveWords(checkKeepAlive(options, 'options'))
    const { idleSeconds, intervalSeconds, count } = words ?? NO_KEEP_ALIVE
    if (!this._hasEnded) this._keepAlive(idleSeconds, intervalSeconds, count)
    return this
  }

  /** Lets the connection keep the process alive, as it does at first. */
  ref(): this {
    if ((this._flags & (UNREFFED | FINISHED)) === UNREFFED) {
      this._flags &= ~UNREFFED
      this._dispatcher.hold()
    }
    return this
  }

  /** Lets the process end although the connection is open. */
  unref(): this {
    if ((this._flags & (UNREFFED | FINISHED)) === 0) {
      this._flags |= UNREFFED
      this._dispatcher.unhold()
    }
    return this
  }

  /**
   * Puts another handler in the place of `onRequest`, from the next call on. It is called also for
   * input that the one before has left unread, so that a handler may look at the first bytes and
   * hand over.
   *
   * @throws `ERR_INVALID_ARG_TYPE` if it is no function.
   */
  setOnRequest<C = undefined>(handler: OnRequest<C>): this {
    checkFunction(handler, 'handler')
    this._setOnRequest(handler as Handler)
    return this
  }

  /**
   * Puts another handler in the place of `onDisconnect`.
   *
   * @throws `ERR_INVALID_ARG_TYPE` if it is no function.
   */
  setOnDisconnect<C = undefined>(handler: OnDisconnect<C>): this {
    checkFunction(handler, 'handler')
    this._setOnDisconnect(handler as Handler)
    return this
  }

  /**
   * Sends FIN after what was flushed; unflushed output is dropped. Reading goes on, later writes
   * throw `ERR_NODEPOLL_CONNECTION_CLOSED`, and the connection ends when the peer has sent FIN as
   * well.
   *
   * Resolves when all has left; rejects as {@link Writer.drained} does. Each call returns the same
   * promise. After the end of the connection it does nothing.
   */
  closeWrite(): Promise<void> {
    const { _extras: extras } = this
    return (extras.writeClosed ??= this._isOver ? Promise.resolve() : this._closeWrite())
  }

  /**
   * Ends the connection gracefully: no more input is received, flushed output is sent (for as long
   * as the write timeout says, else 30 s), then FIN, then input is discarded until the peer's FIN
   * (for one second at most). If the output takes longer, the peer sees a reset, or on a unix
   * socket, which knows none, FIN.
   *
   * Unflushed output is dropped, a waiting read rejects. Each call returns the same promise, which
   * settles when the connection has ended and never rejects. It does not wait for the close
   * callbacks, so that a handler may await it.
   */
  close(): Promise<void> {
    this._end({ by: 'local' }, COMMAND_CLOSE)
    return this._closing
  }

  /**
   * Ends the connection at once, with FIN; unsent output is dropped. Received bytes stay readable.
   * A graceful end that is under way is cut short.
   *
   * @param error Becomes the reason's error. `onError` is not told of it.
   */
  destroy(error?: Error): void {
    this._end(error === undefined ? { by: 'local' } : { by: 'error', error }, COMMAND_DESTROY)
  }

  /** Ends the connection at once, with a reset. For a unix socket it is `destroy()`. */
  reset(): void {
    this._end({ by: 'local' }, COMMAND_RESET)
  }

  /**
   * Calls `callback` once, when the connection has ended and no handler of it is pending: last
   * added, first called, one after another. One that is added later is called in a microtask.
   * Reading what is left in `input` is allowed in it, writing fails. An asynchronous one is
   * awaited; what it throws or rejects with goes to `onError`, and the others are still called.
   *
   * @throws `ERR_INVALID_ARG_TYPE` if it is no function.
   */
  addCloseCallback(callback: CloseCallback): this {
    checkFunction(callback, 'callback')
    this._addCloseCallback(callback)
    return this
  }

  /** {@link Connection.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** How far input may come. @internal */
  get _intake(): Intake {
    return this.input._chain.intake as Intake
  }

  /** @internal */
  _beginInput(): Chain {
    const intake = this._dispatcher.memory.intakes.take()
    const { readBufferMax } = this._handlers
    intake.begin(this, this.bytesRead, this.#window, readBufferMax)
    return intake.chain
  }

  /** @internal */
  _endInput({ intake }: Chain): boolean {
    if (!intake?.isIdle || this._flags & FINISHED) return false
    this.#window = intake.end()
    this._dispatcher.memory.intakes.give(intake)
    return true
  }

  /** Changes how long calls wait. After the end nothing waits. */
  private _wait(...change: Parameters<Waits['change']>): this {
    if (!this._hasEnded) this._waits.change(...change)
    return this
  }

  private _closeWrite(): Promise<void> {
    const { writer } = this
    writer._drop()
    const drained = writer.drained()
    this._flags |= WRITE_CLOSED
    this._command(COMMAND_CLOSE_WRITE)
    return drained
  }
}
