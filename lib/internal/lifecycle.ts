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
import { type CloseReason, isEndError, SystemReason } from './close-reason.ts'
import { Condition } from './condition.ts'
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
import { callGuarded, type Handler, isThenable, reportError } from './handlers.ts'

/** With none of these there is nothing to do for a connection. */
const DUE = FRESH | PEER_ENDED | ENDED | LEAVING

/** Stands for onConnect where a count of consumed bytes stands for onRequest. */
const CONNECTING = -1

/**
 * The life of a connection: what has happened to it, which handler is due, how it ends. What its
 * user sees of it is {@link Connection}, which is made from this.
 */
export abstract class Lifecycle extends Condition {
  /** Input, once there was any or somebody has asked. @internal */
  _input: LinkBuffer | undefined
  /** Output, likewise. @internal */
  _writer: Writer | undefined
  #context: unknown
  #bytesRead = 0

  /** The bytes that have arrived and are unread. */
  abstract get input(): LinkBuffer

  /** Bytes received so far. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Settles when the connection has ended, whoever ended it. Never rejects. */
  get closed(): Promise<CloseReason> {
    return this._theEnd.closed(this._hasEnded ? this._reason : undefined)
  }

  /** The same, for those who do not ask why. @internal */
  get _closing(): Promise<void> {
    return this._theEnd.closing(this._hasEnded ? this._reason : undefined)
  }

  /** @internal */
  _addCloseCallback(callback: CloseCallback): void {
    if (this._flags & FINISHED) {
      queueMicrotask(
        () => void this._handlers.scope.runInAsyncScope(() => this._callBack(callback)),
      )
    } else {
      this._theEnd.add(callback)
    }
  }

  /** From now on this handler is called. It may look at what another one has left. @internal */
  _setOnRequest(handler: Handler): void {
    this._extras.onRequest = handler
    if (!this._hasNoInput()) this._flags |= FRESH
    this._advanceSoon()
  }

  /** @internal */
  _setOnDisconnect(handler: Handler): void {
    this._extras.onDisconnect = handler
  }

  /**
   * From now on FIN ends the input only, as with `allowHalfOpen`, and `onEnd` is told of it once:
   * no handler says so, and a read that waits for it would cost a promise a chunk. @internal
   */
  _whenPeerEnds(onEnd: () => void): void {
    this._extras.onEnd = onEnd
    if (this._flags & PEER_ENDED) queueMicrotask(onEnd)
  }

  /** Closes the connection as soon as no handler is pending and all input is read. @internal */
  _closeWhenIdle(): void {
    this._flags |= LEAVING
    this._advance()
  }

  /** Begins the life of a connection. @internal */
  _opened(): void {
    this._flags |= PUBLISHED
    publishOpened(this._self)
    if (this._idleMs > 0) this._command(COMMAND_IDLE, this._idleMs)
    const { onPrepare, onConnect } = this._handlers
    if (onPrepare !== undefined && !this._isOver) this._prepare(onPrepare)
    if (onConnect !== undefined && !this._isOver) {
      this._call(onConnect, CONNECTING)
    }
    this._advance()
  }

  /** Bytes have arrived, with a lease on them and `front` bytes in front of them. @internal */
  _received(node: number, offset: number, length: number, front: number): void {
    if (this._flags & CLOSING) {
      this._dispatcher.memory.release(node)
      return
    }
    const { _chain: chain } = this.input
    this.#bytesRead += length
    chain.receive(node, offset, length, front)
    this._flags = (this._flags | (this._flags & PAUSED ? WITHHELD : FRESH)) & ~QUIET
    this._inputCame(chain.length)
    this._advance()
    if (chain.length > 0) chain.memory.rests.add(chain)
  }

  /** The peer has sent FIN. @internal */
  _peerEnded(): void {
    if (this._isOver) return
    this._flags |= PEER_ENDED
    this._inputCame(Infinity)
    if (!this._isHalfOpen) {
      this._endsFor({ by: 'peer' })
      this._abort()
      this._disconnected()
    }
    this._extrasIfAny?.onEnd?.()
    this._advance()
  }

  /** No byte has come or gone for so long. @internal */
  _idle(ms: number): void {
    // It may have been told to wait longer in the meantime.
    if (ms === this._idleMs) this._end({ by: 'timeout' }, COMMAND_CLOSE)
  }

  /** The driver was asked, and has found nothing to read. @internal */
  _quiet(): void {
    this._flags |= QUIET
    this._advance()
  }

  /** The socket is gone. @internal */
  _closed(reason: CloseReason | SystemReason): void {
    if (this._flags & ENDED) return
    this._leaveSlot()
    this._handlers.closed(this._self)
    const isFin = !(reason instanceof SystemReason) && reason.by === 'peer'
    const isHalfOpen = this._isHalfOpen && isFin
    const isByPeer = (this._flags & (PEER_ENDED | CLOSING)) === 0 && !isHalfOpen
    this._flags |= ENDED
    this._endsFor(reason)
    this._abort()
    this._showWithheld()
    this._writer?._drop()
    this._stopWaiting()
    // An attempt to connect that came second was never open to anybody.
    if (this._flags & PUBLISHED) publishClosed(this._self)
    if (isByPeer) this._disconnected()
    const ending = this._extrasIfAny?.ending
    if (ending?.settle(this._reason as CloseReason)) this._dispatcher.yieldToContinuations()
    this._advance()
  }

  /** We end the connection. @internal */
  _end(reason: CloseReason, command: number): void {
    // A graceful end may still be cut short; otherwise the first call is the one that counts.
    const isRepeated = (this._flags & CLOSING) !== 0 && command === COMMAND_CLOSE
    if (isRepeated || this._flags & ENDED) return
    this._flags |= CLOSING
    this._endsFor(reason)
    this._writer?._drop()
    this._inputCame(Infinity)
    this._command(command, command === COMMAND_CLOSE ? this._sendMs : 0)
    this._abort()
  }

  /** Does what is due now: the next request, the end, the close callbacks. */
  private _advance(): void {
    while ((this._flags & (PENDING | CALLING_BACK | FINISHED)) === 0) {
      if (this._wantsRequest()) {
        this._flags &= ~FRESH
        this._call(this._onRequest as Handler, this._consumed)
      } else if (this._flags & ENDED) {
        this._callBackAll()
      } else {
        const hasEnded = (this._flags & (PEER_ENDED | WITHHELD)) === PEER_ENDED
        if (hasEnded && !this._isHalfOpen) this._end({ by: 'peer' }, COMMAND_CLOSE)
        else if (this._flags & LEAVING) this._leave()
        return
      }
    }
  }

  /** The same, but not inside of a call of the user's. @internal */
  _advanceSoon(): void {
    queueMicrotask(() => this._handlers.scope.runInAsyncScope(() => this._advance()))
  }

  /** Closes an idle connection, once the driver has found nothing more to read. */
  private _leave(): void {
    if (this._flags & CLOSING || !this._hasNoInput()) return
    if (this._flags & (QUIET | PEER_ENDED)) this._end({ by: 'shutdown' }, COMMAND_CLOSE)
    else this._command(COMMAND_PROBE)
  }

  /** What came while reading was paused is there for onRequest. @internal */
  _showWithheld(): void {
    if (this._flags & WITHHELD) this._flags = (this._flags | FRESH) & ~WITHHELD
  }

  /** How long the output of a graceful close may take, or 0 for the usual time. */
  private get _sendMs(): number {
    const sendMs = this._writeMsLeft
    // Who has waited so long for a byte to leave waits no longer than that.
    return this._reason?.by === 'timeout' && sendMs === 0 ? this._idleMs : sendMs
  }

  private get _self(): Connection {
    return this as unknown as Connection
  }

  private get _theEnd(): Ending<CloseCallback> {
    return (this._extras.ending ??= new Ending())
  }

  private get _onRequest(): Handler | undefined {
    return this._extrasIfAny?.onRequest ?? this._handlers.onRequest
  }

  /** Milliseconds without a byte after which it is closed, or 0. @internal */
  get _idleMs(): number {
    return this._extrasIfAny?.idleMs ?? this._handlers.idleTimeoutMs
  }

  /** Bytes of input that have been read so far. */
  private get _consumed(): number {
    return this.#bytesRead - (this._input?.length ?? 0)
  }

  /** Whether no handler is about to be called for input that comes now. @internal */
  get _isForReads(): boolean {
    return (this._flags & PENDING) !== 0 || this._onRequest === undefined
  }

  private _hasNoInput(): boolean {
    return this._input === undefined || this._input.length === 0
  }

  private _wantsRequest(): boolean {
    const isDue = (this._flags & (FRESH | CLOSING)) === FRESH
    return isDue && this._onRequest !== undefined && !this._hasNoInput()
  }

  /** Calls onPrepare, and opens the window for input unless that has ended the connection. */
  private _prepare(onPrepare: Handler): void {
    this._flags |= PENDING
    const failed = (error: unknown): void => this._handlerFailed(error)
    void callGuarded(() => {
      const result = onPrepare(this._self, undefined)
      // A promise is waited for by nobody here.
      if (!isThenable(result)) this.#context = result
      return result
    }, failed)
    this._flags &= ~PENDING
    if (this._isOver) return
    this._command(COMMAND_WINDOW, this._handlers.readBufferMax)
  }

  /**
   * Calls a handler; nothing else of this connection is called until it has settled. `consumed` is
   * what had been read before it, or `CONNECTING` for onConnect.
   */
  private _call(handler: Handler, consumed: number): void {
    this._flags = (this._flags | PENDING) & ~QUIET
    try {
      const result = this._run(handler, this.#context)
      if (isThenable(result)) {
        this._await(result, consumed)
        return
      }
      this._settled(result, consumed)
    } catch (error) {
      this._handlerFailed(error)
    }
    this._flags &= ~PENDING
  }

  private _run(handler: Handler, argument: unknown): unknown {
    const { _dispatcher: dispatcher } = this
    dispatcher.running = this._self
    try {
      return handler(this._self, argument)
    } finally {
      dispatcher.running = undefined
    }
  }

  private _await(result: PromiseLike<unknown>, consumed: number): void {
    const { _dispatcher: dispatcher } = this
    dispatcher.yieldToContinuations()
    dispatcher.handlersPending++
    const goOn = (): void => {
      dispatcher.handlersPending--
      this._flags &= ~PENDING
      if (this._flags & DUE) this._handlers.scope.runInAsyncScope(() => this._advance())
    }
    result.then(
      (value) => {
        this._settled(value, consumed)
        goOn()
      },
      (error: unknown) => {
        this._handlerFailed(error)
        goOn()
      },
    )
  }

  private _settled(value: unknown, consumed: number): void {
    if (consumed === CONNECTING) {
      if (value !== undefined) this.#context = value
      return
    }
    const { input } = this
    if (this._handlers.autoRelease) input.release()
    // What consumes nothing waits for more, and is not called again for the same bytes. Nothing of
    // it is left for what comes later, which may have to wait for `resume()`.
    if (input.length > 0 && this._consumed !== consumed) this._flags |= FRESH
  }

  private _handlerFailed(error: unknown): void {
    // That a handler fails because its connection has ended is not an error of its own.
    if (!this._receives && isEndError(error)) {
      // With `allowHalfOpen` nobody else would end it.
      if (this._flags & PEER_ENDED) this._end({ by: 'peer' }, COMMAND_CLOSE)
      return
    }
    this._end({ by: 'error', error }, COMMAND_DESTROY)
    reportError(this._handlers.onError, error, this._self)
  }

  private _disconnected(): void {
    const onDisconnect = this._extrasIfAny?.onDisconnect ?? this._handlers.onDisconnect
    if (onDisconnect === undefined) return
    const failed = (error: unknown): void => this._handlerFailed(error)
    void callGuarded(() => onDisconnect(this._self, this.#context), failed)
  }

  private _callBackAll(): void {
    this._flags |= CALLING_BACK
    const ending = this._extrasIfAny?.ending
    if (ending === undefined) {
      this._finish()
    } else {
      ending.callBack(
        (callback) => this._handlers.scope.runInAsyncScope(() => this._callBack(callback)),
        () => this._finish(),
      )
    }
  }

  private _finish(): void {
    this._flags |= FINISHED
    this._input?._openChain?.letGo()
    this._handlers.ended(this._self)
    if ((this._flags & UNREFFED) === 0) this._dispatcher.unhold()
  }

  private _callBack(callback: CloseCallback): Promise<void> | undefined {
    const failed = (error: unknown): void => reportError(this._handlers.onError, error, this._self)
    const pending = callGuarded(() => this._run(callback as Handler, this._reason), failed)
    if (pending !== undefined) this._dispatcher.yieldToContinuations()
    return pending
  }
}
