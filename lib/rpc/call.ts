import type { Connection } from '../connection.ts'
import type { Address } from '../internal/address.ts'

/** What a handler knows of a call beside its request. */
export class RpcCall {
  /** What is called. */
  readonly method: string
  readonly #connection: Connection
  /** When it is over, in the time of `performance.now()`. @internal */
  readonly _dueAt: number
  /** @internal */
  readonly _id: number
  /** Its caller has got an answer. @internal */
  _isAnswered = false
  #aborter: AbortController | undefined
  #reason: unknown

  /** @internal */
  constructor(method: string, connection: Connection, id: number, dueAt: number) {
    this.method = method
    this.#connection = connection
    this._id = id
    this._dueAt = dueAt
  }

  /**
   * Aborted when nobody waits for the reply any more: the caller has cancelled the call or its time
   * is over, or the connection has ended. `reason` is an error that says which.
   */
  get signal(): AbortSignal {
    if (this.#aborter === undefined) {
      this.#aborter = new AbortController()
      if (this._isAborted) this.#aborter.abort(this.#reason)
    }
    return this.#aborter.signal
  }

  /** Until when the caller waits, in milliseconds since the epoch. `undefined`: for ever. */
  get deadline(): number | undefined {
    if (this._dueAt === Infinity) return undefined
    return Date.now() + this._dueAt - performance.now()
  }

  /** The caller's end of the connection. */
  get remoteAddress(): Address {
    return this.#connection.remoteAddress
  }

  /** Our end of it. */
  get localAddress(): Address {
    return this.#connection.localAddress
  }

  /** @internal */
  get _isAborted(): boolean {
    return this.#reason !== undefined
  }

  /** @internal */
  _abort(reason: unknown): void {
    if (this._isAborted) return
    this.#reason = reason
    this.#aborter?.abort(reason)
  }
}
