import type { ClientSession } from './client-session.ts'

type Resolve = (value: unknown) => void
type Reject = (error: unknown) => void

let lastResolve: Resolve
let lastReject: Reject

/** One function for all promises, in place of one for each. */
const capture = (resolve: Resolve, reject: Reject): void => {
  lastResolve = resolve
  lastReject = reject
}

/** Who has made calls. */
export interface CallOwner {
  /** One of them has a reply or an error. */
  settled(call: PendingCall): void
}

/** A call that has not settled, or whose server has not answered. */
export class PendingCall {
  readonly promise: Promise<unknown>
  /** The beginning of its frame, with the method: for all calls of it. */
  readonly head: Buffer
  /** Until it has settled: it may have to be sent again. */
  request: unknown
  /** When it is over, in the time of `performance.now()`. */
  readonly dueAt: number
  isSettled = false
  /** How often servers have refused it. */
  refusals = 0
  /** Its place among the calls of its connection, and the number of the one that has it there. */
  id = 0
  /** Where it was sent, until that has been answered. */
  session: ClientSession | undefined
  readonly #resolve: Resolve
  readonly #reject: Reject
  /** By which its caller may cancel it. */
  readonly signal: AbortSignal | undefined
  readonly #owner: CallOwner

  constructor(
    owner: CallOwner,
    head: Buffer,
    request: unknown,
    dueAt: number,
    signal: AbortSignal | undefined,
  ) {
    this.promise = new Promise(capture)
    this.#resolve = lastResolve
    this.#reject = lastReject
    this.#owner = owner
    this.head = head
    this.request = request
    this.dueAt = dueAt
    this.signal = signal
  }

  resolve(value: unknown): void {
    this.#settle()
    this.#resolve(value)
  }

  reject(error: unknown): void {
    this.#settle()
    this.#reject(error)
  }

  #settle(): void {
    this.isSettled = true
    this.request = undefined
    this.#owner.settled(this)
  }
}
