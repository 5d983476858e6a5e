import { closedError, failure } from './errors.ts'
import type { Address } from './internal/address.ts'
import { Channel } from './internal/channel.ts'
import { type CloseReason, isEndError } from './internal/close-reason.ts'
import type { Dispatcher, Opened } from './internal/dispatcher.ts'
import { Ending } from './internal/ending.ts'
import {
  callGuarded,
  type Handler,
  type Handlers,
  isThenable,
  reportError,
} from './internal/handlers.ts'
import { checkFunction } from './internal/validate.ts'
import { Waits } from './internal/waits.ts'
import { LinkBuffer } from './link-buffer.ts'
import { COMMAND_CLOSE, COMMAND_DESTROY, COMMAND_PROBE, COMMAND_RESET } from './native/record.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export type CloseCallback = (connection: Connection, reason: CloseReason) => void | Promise<void>

// What has happened to a connection, as bits of one number.
const PENDING = 1 // a handler of it is running or awaited
const FRESH = 2 // input has come, or was consumed, since onRequest was called last
const PEER_ENDED = 4 // the peer has sent FIN
const CLOSING = 8 // we have asked for the end
const ENDED = 16 // the socket is gone
const CALLING_BACK = 32 // close callbacks are running
const FINISHED = 64 // close callbacks have run
const LEAVING = 128 // it is to be closed when it is idle
const QUIET = 256 // nothing has come since the driver was asked whether something is on its way

/** Stands for onConnect where a count of consumed bytes stands for onRequest. */
const CONNECTING = -1

/**
 * One connection, accepted or dialled.
 *
 * Every method is safe after the end: reads serve what is left and then fail with
 * `ERR_NODEPOLL_EOF` (the peer ended it) or `ERR_NODEPOLL_CONNECTION_CLOSED` (we did), writes throw
 * `ERR_NODEPOLL_CONNECTION_CLOSED`, `close()` and `destroy()` do nothing.
 */
export class Connection {
  /** Our end. */
  readonly localAddress: Address
  /** The peer's end. */
  readonly remoteAddress: Address
  /** @internal */
  readonly _handlers: Handlers
  /** @internal */
  _reason: CloseReason | undefined
  /** @internal */
  readonly _channel: Channel
  #flags = 0
  #context: unknown
  #input: LinkBuffer | undefined
  #reader: Reader | undefined
  #writer: Writer | undefined
  #bytesRead = 0
  #waits: Waits | undefined
  #ending: Ending<CloseCallback> | undefined

  /** @internal */
  constructor(dispatcher: Dispatcher, handlers: Handlers, opened: Opened, local: Address) {
    this._handlers = handlers
    this._channel = new Channel(dispatcher, opened, this)
    this.localAddress = opened.local ?? local
    this.remoteAddress = opened.remote ?? local
  }

  /** The bytes that have arrived and are unread. Synchronous, never waits. */
  get input(): LinkBuffer {
    return (this.#input ??= new LinkBuffer(undefined, this._channel.dispatcher.memory, 'input'))
  }

  /** Waits for bytes. */
  get reader(): Reader {
    return (this.#reader ??= new Reader(this))
  }

  /** Builds and sends output. */
  get writer(): Writer {
    return (this.#writer ??= new Writer(this, this._channel.dispatcher.memory))
  }

  /** `false` from the moment an end of the connection is known: a FIN, an error, our `close()`. */
  get isActive(): boolean {
    return (this.#flags & (PEER_ENDED | CLOSING | ENDED)) === 0
  }

  /** Bytes received so far. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Bytes the kernel has taken, as far as the driver has told: it does so with other events. */
  get bytesWritten(): number {
    return this._channel.sent
  }

  /** Settles when the connection has ended, whoever ended it. Never rejects. */
  get closed(): Promise<CloseReason> {
    return this.#theEnd.closed(this._hasEnded ? this._reason : undefined)
  }

  /**
   * Writes and flushes. `false` means that more than 1 MiB is pending: see {@link Writer.flush}.
   *
   * @throws `ERR_NODEPOLL_CONNECTION_CLOSED` after the end.
   */
  write(data: Uint8Array | string): boolean {
    const { writer } = this
    if (typeof data === 'string') writer.writeString(data)
    else writer.writeBinary(data)
    return writer.flush()
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
    return this.#theEnd.closing(this._hasEnded ? this._reason : undefined)
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
    if (this.#flags & FINISHED) {
      queueMicrotask(
        () => void this._handlers.scope.runInAsyncScope(() => this.#callBack(callback)),
      )
    } else {
      this.#theEnd.add(callback)
    }
    return this
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Whether the socket is gone. @internal */
  get _hasEnded(): boolean {
    return (this.#flags & ENDED) !== 0
  }

  /** Closes the connection as soon as no handler is pending and all input is read. @internal */
  _closeWhenIdle(): void {
    this.#flags |= LEAVING
    this.#advance()
  }

  /** Begins the life of an accepted connection. @internal */
  _opened(): void {
    const { onConnect } = this._handlers
    if (onConnect === undefined) return
    this.#call(onConnect, CONNECTING)
  }

  /** Bytes have arrived, with a lease on them. @internal */
  _received(node: number, offset: number, length: number): void {
    if (this.#flags & CLOSING) {
      this._channel.dispatcher.memory.release(node)
      return
    }
    const { input } = this
    input._chain.receive(node, offset, length)
    this.#bytesRead += length
    this.#flags = (this.#flags | FRESH) & ~QUIET
    if (this.#waits?.inputCame(input.length)) this._channel.dispatcher.yieldToContinuations()
    this.#advance()
  }

  /** The peer has sent FIN. @internal */
  _peerEnded(): void {
    if (this.#flags & (CLOSING | ENDED)) return
    this.#flags |= PEER_ENDED
    this._reason ??= { by: 'peer' }
    this.#inputEnded()
    this.#disconnected()
    this.#advance()
  }

  /** The driver was asked, and has found nothing to read. @internal */
  _quiet(): void {
    this.#flags |= QUIET
    this.#advance()
  }

  /** The kernel has taken what was asked about. @internal */
  _drained(): void {
    this.#outputTaken()
  }

  /** The socket is gone. @internal */
  _closed(reason: CloseReason): void {
    if (this.#flags & ENDED) return
    this._channel.close()
    const isByPeer = (this.#flags & (PEER_ENDED | CLOSING)) === 0
    this.#flags |= ENDED
    this._reason ??= reason
    this.#writer?._drop()
    this.#inputEnded()
    this.#outputTaken()
    if (isByPeer) this.#disconnected()
    if (this.#ending?.settle(this._reason)) this._channel.dispatcher.yieldToContinuations()
    this.#advance()
  }

  /** We end the connection. @internal */
  _end(reason: CloseReason, command: number): void {
    // A graceful end may still be cut short; otherwise the first call is the one that counts.
    const isRepeated = (this.#flags & CLOSING) !== 0 && command === COMMAND_CLOSE
    if (isRepeated || this.#flags & ENDED) return
    this.#flags |= CLOSING
    this._reason ??= reason
    this.#writer?._drop()
    this.#inputEnded()
    this._channel.command(command)
  }

  /** @internal */
  get _waits(): Waits {
    return (this.#waits ??= new Waits())
  }

  /** What a read beyond the end fails with. @internal */
  _endError(): unknown {
    const reason = this._reason
    if (reason?.by === 'peer') {
      return failure('ERR_NODEPOLL_EOF', 'the peer has ended the connection')
    }
    return reason?.error ?? closedError()
  }

  /** @internal */
  _checkWritable(): void {
    if (this.#flags & (CLOSING | ENDED)) throw closedError()
  }

  /** Does what is due now: the next request, the end, the close callbacks. */
  #advance(): void {
    while ((this.#flags & (PENDING | CALLING_BACK | FINISHED)) === 0) {
      if (this.#wantsRequest()) {
        this.#flags &= ~FRESH
        this.#call(this._handlers.onRequest as Handler, this.input._chain.consumed)
      } else if (this.#flags & ENDED) {
        this.#callBackAll()
      } else {
        if (this.#flags & PEER_ENDED) this._end({ by: 'peer' }, COMMAND_CLOSE)
        else if (this.#flags & LEAVING) this.#leave()
        return
      }
    }
  }

  /** Closes an idle connection, once the driver has found nothing more to read. */
  #leave(): void {
    if (this.#flags & CLOSING || !this.#hasNoInput()) return
    if (this.#flags & QUIET) this._end({ by: 'shutdown' }, COMMAND_CLOSE)
    else this._channel.command(COMMAND_PROBE)
  }

  get #theEnd(): Ending<CloseCallback> {
    return (this.#ending ??= new Ending())
  }

  #hasNoInput(): boolean {
    return this.#input === undefined || this.#input.length === 0
  }

  #wantsRequest(): boolean {
    const isDue = (this.#flags & (FRESH | CLOSING)) === FRESH
    return isDue && this._handlers.onRequest !== undefined && !this.#hasNoInput()
  }

  /**
   * Calls a handler; nothing else of this connection is called until it has settled. `consumed` is
   * what had been read before it, or `CONNECTING` for onConnect.
   */
  #call(handler: Handler, consumed: number): void {
    this.#flags = (this.#flags | PENDING) & ~QUIET
    try {
      const result = handler(this, this.#context)
      if (isThenable(result)) {
        this.#await(result, consumed)
        return
      }
      this.#settled(result, consumed)
    } catch (error) {
      this.#handlerFailed(error)
    }
    this.#flags &= ~PENDING
  }

  #await(result: PromiseLike<unknown>, consumed: number): void {
    this._channel.dispatcher.yieldToContinuations()
    const goOn = (): void => {
      this.#flags &= ~PENDING
      this._handlers.scope.runInAsyncScope(() => this.#advance())
    }
    result
      .then(
        (value) => this.#settled(value, consumed),
        (error: unknown) => this.#handlerFailed(error),
      )
      .then(goOn)
  }

  #settled(value: unknown, consumed: number): void {
    if (consumed === CONNECTING) {
      if (value !== undefined) this.#context = value
      return
    }
    const { input } = this
    if (this._handlers.autoRelease) input.release()
    // What consumes nothing waits for more, and is not called again for the same bytes.
    if (input._chain.consumed !== consumed) this.#flags |= FRESH
  }

  #handlerFailed(error: unknown): void {
    // That a handler fails because its connection has ended is not an error of its own.
    if (!this.isActive && isEndError(error)) return
    this._end({ by: 'error', error }, COMMAND_DESTROY)
    reportError(this._handlers.onError, error, this)
  }

  #disconnected(): void {
    const { onDisconnect } = this._handlers
    if (onDisconnect === undefined) return
    const failed = (error: unknown): void => this.#handlerFailed(error)
    void callGuarded(() => onDisconnect(this, this.#context), failed)
  }

  #callBackAll(): void {
    this.#flags |= CALLING_BACK
    if (this.#ending === undefined) {
      this.#finish()
    } else {
      this.#ending.callBack(
        (callback) => this._handlers.scope.runInAsyncScope(() => this.#callBack(callback)),
        () => this.#finish(),
      )
    }
  }

  #finish(): void {
    this.#flags |= FINISHED
    this.#input?._chain.letGo()
    this._handlers.ended(this, this._reason as CloseReason)
    this._channel.dispatcher.unhold()
  }

  #callBack(callback: CloseCallback): Promise<void> | undefined {
    const failed = (error: unknown): void => reportError(this._handlers.onError, error, this)
    const pending = callGuarded(() => callback(this, this._reason as CloseReason), failed)
    if (pending !== undefined) this._channel.dispatcher.yieldToContinuations()
    return pending
  }

  #inputEnded(): void {
    if (this.#waits?.inputCame(Infinity)) this._channel.dispatcher.yieldToContinuations()
  }

  #outputTaken(): void {
    if (this.#waits?.outputTaken()) this._channel.dispatcher.yieldToContinuations()
  }
}
