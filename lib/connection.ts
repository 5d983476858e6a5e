import type { Address } from './internal/address.ts'
import type { CloseReason } from './internal/close-reason.ts'
import type { Dispatcher, Opened } from './internal/dispatcher.ts'
import type { Handler, Handlers } from './internal/handlers.ts'
import { Intake } from './internal/intake.ts'
import { Lifecycle } from './internal/lifecycle.ts'
import { checkFunction } from './internal/validate.ts'
import { LinkBuffer } from './link-buffer.ts'
import { COMMAND_CLOSE, COMMAND_DESTROY, COMMAND_RESET } from './native/record.ts'
import type { OnDisconnect, OnRequest } from './options.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export type CloseCallback = (connection: Connection, reason: CloseReason) => void | Promise<void>

/**
 * One connection, accepted or dialled.
 *
 * Every method is safe after the end: reads serve what is left and then fail with
 * `ERR_NODEPOLL_EOF` (the peer ended it) or `ERR_NODEPOLL_CONNECTION_CLOSED` (we did), writes throw
 * `ERR_NODEPOLL_CONNECTION_CLOSED`, `close()` and `destroy()` do nothing.
 */
export class Connection extends Lifecycle {
  /** Our end. */
  readonly localAddress: Address
  /** The peer's end. */
  readonly remoteAddress: Address
  #intake: Intake | undefined
  #reader: Reader | undefined

  /** @internal */
  constructor(dispatcher: Dispatcher, handlers: Handlers, opened: Opened, local: Address) {
    super(dispatcher, handlers, opened)
    this.localAddress = opened.local ?? local
    this.remoteAddress = opened.remote ?? local
  }

  /** The bytes that have arrived and are unread. Synchronous, never waits. */
  override get input(): LinkBuffer {
    return (this._input ??= this.#openInput())
  }

  /** Waits for bytes. */
  get reader(): Reader {
    return (this.#reader ??= new Reader(this))
  }

  /** Builds and sends output. */
  get writer(): Writer {
    return (this._writer ??= new Writer(this, this._channel.dispatcher.memory))
  }

  /** Bytes the kernel has taken, as far as the driver has told: it does so with other events. */
  get bytesWritten(): number {
    return this._channel.sent
  }

  /**
   * Writes and flushes. `false` means that more than `writeBufferMax` is pending: see
   * {@link Writer.flush}.
   *
   * @throws `ERR_NODEPOLL_CONNECTION_CLOSED` after the end, and `ERR_NODEPOLL_WRITE_LIMIT` as
   *   `flush` does; then nothing of `data` is written.
   */
  write(data: Uint8Array | string): boolean {
    return this.writer._send(data)
  }

  /**
   * Stops reading the socket, until {@link Connection.resume}: the peer has to wait. `onRequest`
   * is still called for input that is there, but not for what was on its way. An end of the
   * connection may be told as late as after `resume()`.
   */
  pause(): this {
    this._pause()
    return this
  }

  /** Reads the socket again. */
  resume(): this {
    this._resume()
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
   * Ends the connection gracefully: no more input is received, flushed output is sent (for 30 s at
   * most), then FIN, then input is discarded until the peer's FIN (for one second at most).
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
   * Ends the connection at once; unsent output is dropped.
   *
   * @param error Becomes the reason's error.
   */
  destroy(error?: Error): void {
    this._end(error === undefined ? { by: 'local' } : { by: 'error', error }, COMMAND_DESTROY)
  }

  /** Ends the connection at once with a reset. For a unix socket it is `destroy()`. */
  reset(): void {
    this._end({ by: 'local' }, COMMAND_RESET)
  }

  /**
   * Calls `callback` once, when the connection has ended and no handler of it is pending: last
   * added, first called, one after another. One that is added later is called in a microtask.
   * Reading what is left in `input` is allowed in it; what it throws goes to `onError`.
   */
  addCloseCallback(callback: CloseCallback): this {
    checkFunction(callback, 'callback')
    this._addCloseCallback(callback)
    return this
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** How far input may come. @internal */
  get _intake(): Intake {
    if (this.#intake === undefined) this._input ??= this.#openInput()
    return this.#intake as Intake
  }

  #openInput(): LinkBuffer {
    const input = new LinkBuffer(undefined, this._channel.dispatcher.memory, 'input')
    this.#intake = new Intake(this._channel, input._chain, this._handlers.readBufferMax)
    return input
  }
}
