import { closedError, failure } from '../errors.ts'
import { Channel } from './channel.ts'
import { type CloseReason, SystemReason } from './close-reason.ts'
import type { Opened } from './dispatcher.ts'
import { Extras } from './extras.ts'
import { CLOSING, ENDED, PEER_ENDED, WRITE_CLOSED } from './flags.ts'
import type { Handlers } from './handlers.ts'
import { Waits } from './waits.ts'

/** What a connection can be asked, and what becomes of calls that wait when it ends. */
export abstract class Condition extends Channel {
  /** @internal */
  readonly _handlers: Handlers
  /** What has happened so far. @internal */
  _flags = 0
  #reason: CloseReason | SystemReason | undefined
  #extras: Extras | undefined

  constructor(handlers: Handlers, opened: Opened) {
    super(opened)
    this._handlers = handlers
  }

  /** `false` from the moment an end of the connection is known: a FIN, an error, our `close()`. */
  get isActive(): boolean {
    return this._isHalfOpen ? !this._isOver : this._receives
  }

  /**
   * Aborted at the moment at which `isActive` becomes `false`, so that work for a peer that has
   * gone can be given up. `reason` is the error that ended the connection, or
   * `ERR_NODEPOLL_CONNECTION_CLOSED`. Its listeners run within the call or event that ends it.
   */
  get signal(): AbortSignal {
    const { _extras: extras } = this
    if (extras.aborter === undefined) {
      extras.aborter = new AbortController()
      if (!this.isActive) this._abort()
    }
    return extras.aborter.signal
  }

  /** Why it has ended, or is about to. @internal */
  get _reason(): CloseReason | undefined {
    if (this.#reason instanceof SystemReason) this.#reason = this.#reason.told()
    return this.#reason
  }

  /** Says why it ends. The first reason stays. @internal */
  _endsFor(reason: CloseReason | SystemReason): void {
    this.#reason ??= reason
  }

  /** Whether FIN from the peer ends the input only. @internal */
  get _isHalfOpen(): boolean {
    return this._handlers.allowHalfOpen || this.#extras?.onEnd !== undefined
  }

  /** Whether the socket is gone. @internal */
  get _hasEnded(): boolean {
    return (this._flags & ENDED) !== 0
  }

  /** @internal */
  get _extras(): Extras {
    return (this.#extras ??= new Extras())
  }

  /** The same, if there are any. @internal */
  get _extrasIfAny(): Extras | undefined {
    return this.#extras
  }

  /** What reads and drains wait for. @internal */
  get _waits(): Waits {
    const { readTimeoutMs, writeTimeoutMs } = this._handlers
    return (this._extras.waits ??= new Waits(readTimeoutMs, writeTimeoutMs))
  }

  /** Whether a read waits, or is about to go on. @internal */
  get _isReading(): boolean {
    return this.#extras?.waits?.isReading === true
  }

  /** Which of all reads that have waited is under way here. @internal */
  get _waitingSince(): number {
    return this.#extras?.waits?.since ?? Infinity
  }

  /** Whether more input may come. @internal */
  get _receives(): boolean {
    return (this._flags & (PEER_ENDED | CLOSING | ENDED)) === 0
  }

  /** Whether it has ended or is about to, by us. @internal */
  get _isOver(): boolean {
    return (this._flags & (CLOSING | ENDED)) !== 0
  }

  /** What a read beyond the end fails with. @internal */
  _endError(): unknown {
    const reason = this._reason
    if (reason?.by === 'peer' || this._flags & PEER_ENDED) {
      return failure('ERR_NODEPOLL_EOF', 'the peer has ended the connection')
    }
    return reason?.error ?? closedError()
  }

  /** @internal */
  _checkWritable(): void {
    if (this._flags & (CLOSING | ENDED | WRITE_CLOSED)) throw closedError()
  }

  /** Those who wait for input go on, or fail. @internal */
  _inputCame(length: number): void {
    if (this.#extras?.waits?.inputCame(length)) this._dispatcher.yieldToContinuations()
  }

  /** Those who wait for output to leave look again. @internal */
  _outputTaken(): void {
    if (this.#extras?.waits?.outputTaken()) this._dispatcher.yieldToContinuations()
  }

  /** Nobody waits any more. @internal */
  _stopWaiting(): void {
    this._inputCame(Infinity)
    this._outputTaken()
    this.#extras?.waits?.stop()
  }

  /** Milliseconds that sending may take from now on, or 0. @internal */
  get _writeMsLeft(): number {
    return this.#extras?.waits?.writeMsLeft ?? this._handlers.writeTimeoutMs
  }

  /** It has just become inactive. @internal */
  _abort(): void {
    this.#extras?.aborter?.abort(this._reason?.error ?? closedError())
  }
}
