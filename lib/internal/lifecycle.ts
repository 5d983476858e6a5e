import type { CloseCallback, Connection } from '../connection.ts'
import type { LinkBuffer } from '../link-buffer.ts'
import {
  COMMAND_CLOSE,
  COMMAND_DESTROY,
  COMMAND_IDLE,
  COMMAND_PROBE,
  COMMAND_WINDOW,
} from '../native/record.ts'
import type { Writer } from '../writer.ts'
import { Channel } from './channel.ts'
import { type CloseReason, isEndError } from './close-reason.ts'
import { Condition } from './condition.ts'
import type { Dispatcher, Opened } from './dispatcher.ts'
import { Ending } from './ending.ts'
import { publishClosed, publishOpened } from './diagnostics.ts'
import {
  CALLING_BACK,
  CLOSING,
  ENDED,
  FINISHED,
  FRESH,
  LEAVING,
  PAUSED,
  PEER_ENDED,
  PENDING,
  PUBLISHED,
  QUIET,
  UNREFFED,
  WITHHELD,
} from './flags.ts'
import { callGuarded, type Handler, type Handlers, isThenable, reportError } from './handlers.ts'

/** Stands for onConnect where a count of consumed bytes stands for onRequest. */
const CONNECTING = -1

/**
 * The life of a connection: what has happened to it, which handler is due, how it ends. What its
 * user sees of it is {@link Connection}, which is made from this.
 */
export abstract class Lifecycle extends Condition {
  /** @internal */
  readonly _channel: Channel
  /** Input, once there was any or somebody has asked. @internal */
  _input: LinkBuffer | undefined
  /** Output, likewise. @internal */
  _writer: Writer | undefined
  /** Milliseconds without a byte after which it is closed, or 0. @internal */
  _idleMs: number
  #onRequest: Handler | undefined
  #onDisconnect: Handler | undefined
  #context: unknown
  #bytesRead = 0
  #ending: Ending<CloseCallback> | undefined

  constructor(dispatcher: Dispatcher, handlers: Handlers, opened: Opened) {
    super(handlers)
    this.#onRequest = handlers.onRequest
    this.#onDisconnect = handlers.onDisconnect
    this._idleMs = handlers.idleTimeoutMs
    this._channel = new Channel(dispatcher, opened, this.#self)
  }

  /** The bytes that have arrived and are unread. */
  abstract get input(): LinkBuffer

  /** Bytes received so far. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Settles when the connection has ended, whoever ended it. Never rejects. */
  get closed(): Promise<CloseReason> {
    return this.#theEnd.closed(this._hasEnded ? this._reason : undefined)
  }

  /** The same, for those who do not ask why. @internal */
  get _closing(): Promise<void> {
    return this.#theEnd.closing(this._hasEnded ? this._reason : undefined)
  }

  /** @internal */
  _addCloseCallback(callback: CloseCallback): void {
    if (this._flags & FINISHED) {
      queueMicrotask(
        () => void this._handlers.scope.runInAsyncScope(() => this.#callBack(callback)),
      )
    } else {
      this.#theEnd.add(callback)
    }
  }

  /** From now on this handler is called. It may look at what another one has left. @internal */
  _setOnRequest(handler: Handler): void {
    this.#onRequest = handler
    if (!this.#hasNoInput()) this._flags |= FRESH
    this._advanceSoon()
  }

  /** @internal */
  _setOnDisconnect(handler: Handler): void {
    this.#onDisconnect = handler
  }

  /** Closes the connection as soon as no handler is pending and all input is read. @internal */
  _closeWhenIdle(): void {
    this._flags |= LEAVING
    this.#advance()
  }

  /** Begins the life of a connection. @internal */
  _opened(): void {
    this._flags |= PUBLISHED
    publishOpened(this.#self)
    if (this._idleMs > 0) this._channel.command(COMMAND_IDLE, this._idleMs)
    const { onPrepare, onConnect } = this._handlers
    if (onPrepare !== undefined && !this._isOver) this.#prepare(onPrepare)
    if (onConnect !== undefined && !this._isOver) {
      this.#call(onConnect, CONNECTING)
    }
    this.#advance()
  }

  /** Bytes have arrived, with a lease on them and `front` bytes in front of them. @internal */
  _received(node: number, offset: number, length: number, front: number): void {
    if (this._flags & CLOSING) {
      this._channel.dispatcher.memory.release(node)
      return
    }
    const { _chain: chain } = this.input
    chain.receive(node, offset, length, front)
    this.#bytesRead += length
    this._flags = (this._flags | (this._flags & PAUSED ? WITHHELD : FRESH)) & ~QUIET
    this._inputCame(chain.length)
    this.#advance()
    if (chain.length > 0) chain.memory.rests.add(chain)
  }

  /** The peer has sent FIN. @internal */
  _peerEnded(): void {
    if (this._isOver) return
    this._flags |= PEER_ENDED
    this._inputCame(Infinity)
    if (!this._handlers.allowHalfOpen) {
      this._reason ??= { by: 'peer' }
      this._abort()
      this.#disconnected()
    }
    this.#advance()
  }

  /** No byte has come or gone for so long. @internal */
  _idle(ms: number): void {
    // It may have been told to wait longer in the meantime.
    if (ms === this._idleMs) this._end({ by: 'timeout' }, COMMAND_CLOSE)
  }

  /** The driver was asked, and has found nothing to read. @internal */
  _quiet(): void {
    this._flags |= QUIET
    this.#advance()
  }

  /** The socket is gone. @internal */
  _closed(reason: CloseReason): void {
    if (this._flags & ENDED) return
    this._channel.close()
    const isHalfOpen = this._handlers.allowHalfOpen && reason.by === 'peer'
    const isByPeer = (this._flags & (PEER_ENDED | CLOSING)) === 0 && !isHalfOpen
    this._flags |= ENDED
    this._reason ??= reason
    this._abort()
    this._showWithheld()
    this._writer?._drop()
    this._stopWaiting()
    // An attempt to connect that came second was never open to anybody.
    if (this._flags & PUBLISHED) publishClosed(this.#self, this._reason)
    if (isByPeer) this.#disconnected()
    if (this.#ending?.settle(this._reason)) this._channel.dispatcher.yieldToContinuations()
    this.#advance()
  }

  /** We end the connection. @internal */
  _end(reason: CloseReason, command: number): void {
    // A graceful end may still be cut short; otherwise the first call is the one that counts.
    const isRepeated = (this._flags & CLOSING) !== 0 && command === COMMAND_CLOSE
    if (isRepeated || this._flags & ENDED) return
    this._flags |= CLOSING
    this._reason ??= reason
    this._writer?._drop()
    this._inputCame(Infinity)
    this._channel.command(command, command === COMMAND_CLOSE ? this.#sendMs : 0)
    this._abort()
  }

  /** Does what is due now: the next request, the end, the close callbacks. */
  #advance(): void {
    while ((this._flags & (PENDING | CALLING_BACK | FINISHED)) === 0) {
      if (this.#wantsRequest()) {
        this._flags &= ~FRESH
        this.#call(this.#onRequest as Handler, this.input._chain.consumed)
      } else if (this._flags & ENDED) {
        this.#callBackAll()
      } else {
        const hasEnded = (this._flags & (PEER_ENDED | WITHHELD)) === PEER_ENDED
        if (hasEnded && !this._handlers.allowHalfOpen) this._end({ by: 'peer' }, COMMAND_CLOSE)
        else if (this._flags & LEAVING) this.#leave()
        return
      }
    }
  }

  /** The same, but not inside of a call of the user's. @internal */
  _advanceSoon(): void {
    queueMicrotask(() => this._handlers.scope.runInAsyncScope(() => this.#advance()))
  }

  /** Closes an idle connection, once the driver has found nothing more to read. */
  #leave(): void {
    if (this._flags & CLOSING || !this.#hasNoInput()) return
    if (this._flags & (QUIET | PEER_ENDED)) this._end({ by: 'shutdown' }, COMMAND_CLOSE)
    else this._channel.command(COMMAND_PROBE)
  }

  /** What came while reading was paused is there for onRequest. @internal */
  _showWithheld(): void {
    if (this._flags & WITHHELD) this._flags = (this._flags | FRESH) & ~WITHHELD
  }

  /** How long the output of a graceful close may take, or 0 for the usual time. */
  get #sendMs(): number {
    const sendMs = this._writeMsLeft
    // Who has waited so long for a byte to leave waits no longer than that.
    return this._reason?.by === 'timeout' && sendMs === 0 ? this._idleMs : sendMs
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
    const isDue = (this._flags & (FRESH | CLOSING)) === FRESH
    return isDue && this.#onRequest !== undefined && !this.#hasNoInput()
  }

  /** Calls onPrepare, and opens the window for input unless that has ended the connection. */
  #prepare(onPrepare: Handler): void {
    this._flags |= PENDING
    const failed = (error: unknown): void => this.#handlerFailed(error)
    void callGuarded(() => {
      const result = onPrepare(this.#self, undefined)
      // A promise is waited for by nobody here.
      if (!isThenable(result)) this.#context = result
      return result
    }, failed)
    this._flags &= ~PENDING
    if (this._isOver) return
    this._channel.command(COMMAND_WINDOW, this._handlers.readBufferMax)
  }

  /**
   * Calls a handler; nothing else of this connection is called until it has settled. `consumed` is
   * what had been read before it, or `CONNECTING` for onConnect.
   */
  #call(handler: Handler, consumed: number): void {
    this._flags = (this._flags | PENDING) & ~QUIET
    try {
      const result = this.#run(handler, this.#context)
      if (isThenable(result)) {
        this.#await(result, consumed)
        return
      }
      this.#settled(result, consumed)
    } catch (error) {
      this.#handlerFailed(error)
    }
    this._flags &= ~PENDING
  }

  #run(handler: Handler, argument: unknown): unknown {
    const { dispatcher } = this._channel
    dispatcher.running = this.#self
    try {
      return handler(this.#self, argument)
    } finally {
      dispatcher.running = undefined
    }
  }

  #await(result: PromiseLike<unknown>, consumed: number): void {
    const { dispatcher } = this._channel
    dispatcher.yieldToContinuations()
    dispatcher.handlersPending++
    const goOn = (): void => {
      dispatcher.handlersPending--
      this._flags &= ~PENDING
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
    // What consumes nothing waits for more, and is not called again for the same bytes. Nothing of
    // it is left for what comes later, which may have to wait for `resume()`.
    if (input._chain.consumed !== consumed && input.length > 0) this._flags |= FRESH
  }

  #handlerFailed(error: unknown): void {
    // That a handler fails because its connection has ended is not an error of its own.
    if (!this._receives && isEndError(error)) {
      // With `allowHalfOpen` nobody else would end it.
      if (this._flags & PEER_ENDED) this._end({ by: 'peer' }, COMMAND_CLOSE)
      return
    }
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
    this._flags |= CALLING_BACK
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
    this._flags |= FINISHED
    this._input?._chain.letGo()
    this._handlers.ended(this.#self)
    if ((this._flags & UNREFFED) === 0) this._channel.dispatcher.unhold()
  }

  #callBack(callback: CloseCallback): Promise<void> | undefined {
    const failed = (error: unknown): void => reportError(this._handlers.onError, error, this.#self)
    const pending = callGuarded(() => this.#run(callback as Handler, this._reason), failed)
    if (pending !== undefined) this._channel.dispatcher.yieldToContinuations()
    return pending
  }
}
