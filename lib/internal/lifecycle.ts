import type { CloseCallback, Connection } from '../connection.ts'
import { closedError, failure } from '../errors.ts'
import type { LinkBuffer } from '../link-buffer.ts'
import {
  COMMAND_CLOSE,
  COMMAND_DESTROY,
  COMMAND_PAUSE,
  COMMAND_PROBE,
  COMMAND_RESUME,
} from '../native/record.ts'
import type { Writer } from '../writer.ts'
import { Channel } from './channel.ts'
import { type CloseReason, isEndError } from './close-reason.ts'
import type { Dispatcher, Opened } from './dispatcher.ts'
import { Ending } from './ending.ts'
import { callGuarded, type Handler, type Handlers, isThenable, reportError } from './handlers.ts'
import { Waits } from './waits.ts'

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
const PAUSED = 512 // the user wants the socket not to be read
const WITHHELD = 1024 // input has come all the same: it was on its way

/** Stands for onConnect where a count of consumed bytes stands for onRequest. */
const CONNECTING = -1

/**
 * The life of a connection: what has happened to it, which handler is due, how it ends. What its
 * user sees of it is {@link Connection}, which is made from this.
 */
export abstract class Lifecycle {
  /** @internal */
  readonly _handlers: Handlers
  /** @internal */
  readonly _channel: Channel
  /** @internal */
  _reason: CloseReason | undefined
  /** Input, once there was any or somebody has asked. @internal */
  _input: LinkBuffer | undefined
  /** Output, likewise. @internal */
  _writer: Writer | undefined
  #onRequest: Handler | undefined
  #onDisconnect: Handler | undefined
  #flags = 0
  #context: unknown
  #bytesRead = 0
  #waits: Waits | undefined
  #ending: Ending<CloseCallback> | undefined

  constructor(dispatcher: Dispatcher, handlers: Handlers, opened: Opened) {
    this._handlers = handlers
    this.#onRequest = handlers.onRequest
    this.#onDisconnect = handlers.onDisconnect
    this._channel = new Channel(dispatcher, opened, this.#self)
  }

  /** The bytes that have arrived and are unread. */
  abstract get input(): LinkBuffer

  /** `false` from the moment an end of the connection is known: a FIN, an error, our `close()`. */
  get isActive(): boolean {
    return (this.#flags & (PEER_ENDED | CLOSING | ENDED)) === 0
  }

  /** Bytes received so far. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Whether {@link Connection.pause} is in force. */
  get isPaused(): boolean {
    return (this.#flags & PAUSED) !== 0
  }

  /** Settles when the connection has ended, whoever ended it. Never rejects. */
  get closed(): Promise<CloseReason> {
    return this.#theEnd.closed(this._hasEnded ? this._reason : undefined)
  }

  /** The same, for those who do not ask why. @internal */
  get _closing(): Promise<void> {
    return this.#theEnd.closing(this._hasEnded ? this._reason : undefined)
  }

  /** Whether the socket is gone. @internal */
  get _hasEnded(): boolean {
    return (this.#flags & ENDED) !== 0
  }

  /** What reads and drains wait for. @internal */
  get _waits(): Waits {
    return (this.#waits ??= new Waits())
  }

  /** Which of all reads that have waited is under way here. @internal */
  get _waitingSince(): number {
    return this.#waits?.since ?? Infinity
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

  /** @internal */
  _addCloseCallback(callback: CloseCallback): void {
    if (this.#flags & FINISHED) {
      queueMicrotask(
        () => void this._handlers.scope.runInAsyncScope(() => this.#callBack(callback)),
      )
    } else {
      this.#theEnd.add(callback)
    }
  }

  /** Stops reading the socket. @internal */
  _pause(): void {
    if (this.#flags & (PAUSED | ENDED)) return
    this.#flags |= PAUSED
    this._channel.command(COMMAND_PAUSE)
  }

  /** Reads the socket again. @internal */
  _resume(): void {
    if ((this.#flags & PAUSED) === 0) return
    this.#flags &= ~PAUSED
    if (!this._hasEnded) this._channel.command(COMMAND_RESUME)
    this.#showWithheld()
    this.#advanceSoon()
  }

  /** From now on this handler is called. It may look at what another one has left. @internal */
  _setOnRequest(handler: Handler): void {
    this.#onRequest = handler
    this.#flags |= FRESH
    this.#advanceSoon()
  }

  /** @internal */
  _setOnDisconnect(handler: Handler): void {
    this.#onDisconnect = handler
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

  /** Bytes have arrived, with a lease on them and `front` bytes in front of them. @internal */
  _received(node: number, offset: number, length: number, front: number): void {
    if (this.#flags & CLOSING) {
      this._channel.dispatcher.memory.release(node)
      return
    }
    const { _chain: chain } = this.input
    chain.receive(node, offset, length, front)
    this.#bytesRead += length
    this.#flags = (this.#flags | (this.#flags & PAUSED ? WITHHELD : FRESH)) & ~QUIET
    if (this.#waits?.inputCame(chain.length)) this._channel.dispatcher.yieldToContinuations()
    this.#advance()
    if (chain.length > 0) chain.memory.rests.add(chain)
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
    this.#showWithheld()
    this._writer?._drop()
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
    this._writer?._drop()
    this.#inputEnded()
    this._channel.command(command)
  }

  /** Does what is due now: the next request, the end, the close callbacks. */
  #advance(): void {
    while ((this.#flags & (PENDING | CALLING_BACK | FINISHED)) === 0) {
      if (this.#wantsRequest()) {
        this.#flags &= ~FRESH
        this.#call(this.#onRequest as Handler, this.input._chain.consumed)
      } else if (this.#flags & ENDED) {
        this.#callBackAll()
      } else {
        const isEnding = (this.#flags & (PEER_ENDED | WITHHELD)) === PEER_ENDED
        if (isEnding) this._end({ by: 'peer' }, COMMAND_CLOSE)
        else if (this.#flags & LEAVING) this.#leave()
        return
      }
    }
  }

  /** The same, but not inside of a call of the user's. */
  #advanceSoon(): void {
    queueMicrotask(() => this._handlers.scope.runInAsyncScope(() => this.#advance()))
  }

  /** Closes an idle connection, once the driver has found nothing more to read. */
  #leave(): void {
    if (this.#flags & CLOSING || !this.#hasNoInput()) return
    if (this.#flags & QUIET) this._end({ by: 'shutdown' }, COMMAND_CLOSE)
    else this._channel.command(COMMAND_PROBE)
  }

  /** What came while reading was paused is there for onRequest. */
  #showWithheld(): void {
    if (this.#flags & WITHHELD) this.#flags = (this.#flags | FRESH) & ~WITHHELD
  }

  get #self(): Connection {
    return this as unknown as Connection
  }

  get #theEnd(): Ending<CloseCallback> {
    return (this.#ending ??= new Ending())
  }

  #hasNoInput(): boolean {
    return this._input === undefined || this._input.length === 0
  }

  #wantsRequest(): boolean {
    const isDue = (this.#flags & (FRESH | CLOSING)) === FRESH
    return isDue && this.#onRequest !== undefined && !this.#hasNoInput()
  }

  /**
   * Calls a handler; nothing else of this connection is called until it has settled. `consumed` is
   * what had been read before it, or `CONNECTING` for onConnect.
   */
  #call(handler: Handler, consumed: number): void {
    this.#flags = (this.#flags | PENDING) & ~QUIET
    try {
      const result = handler(this.#self, this.#context)
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
    reportError(this._handlers.onError, error, this.#self)
  }

  #disconnected(): void {
    const onDisconnect = this.#onDisconnect
    if (onDisconnect === undefined) return
    const failed = (error: unknown): void => this.#handlerFailed(error)
    void callGuarded(() => onDisconnect(this.#self, this.#context), failed)
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
    this._input?._chain.letGo()
    this._handlers.ended(this.#self, this._reason as CloseReason)
    this._channel.dispatcher.unhold()
  }

  #callBack(callback: CloseCallback): Promise<void> | undefined {
    const failed = (error: unknown): void => reportError(this._handlers.onError, error, this.#self)
    const pending = callGuarded(() => callback(this.#self, this._reason as CloseReason), failed)
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
