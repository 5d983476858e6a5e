import type { CloseReason } from './close-reason.ts'

/** What is to happen when a connection ends, and who waits for it. Made when first needed. */
export class Ending<Callback> {
  readonly #callbacks: Callback[] = []
  /** Those that were added after the first had been called. */
  readonly #late: Callback[] = []
  #isCalling = false
  #closed: Promise<CloseReason> | undefined
  #closing: Promise<void> | undefined
  #resolve: ((reason: CloseReason) => void) | undefined

  /** A promise for the end, which comes by `settle`, or has come for `reason`. */
  closed(reason: CloseReason | undefined): Promise<CloseReason> {
    this.#closed ??= new Promise((resolve) => {
      if (reason === undefined) this.#resolve = resolve
      else resolve(reason)
    })
    return this.#closed
  }

  /** The same, for those who do not ask why. */
  closing(reason: CloseReason | undefined): Promise<void> {
    this.#closing ??= this.closed(reason).then(() => {})
    return this.#closing
  }

  /** Whether somebody waited for the end. */
  settle(reason: CloseReason): boolean {
    this.#resolve?.(reason)
    return this.#resolve !== undefined
  }

  add(callback: Callback): void {
    if (this.#isCalling) this.#late.push(callback)
    else this.#callbacks.push(callback)
  }

  /**
   * Calls the callbacks, last added first, each after the one before has settled, and `done` after
   * the last. Those that are added meanwhile come after them. `call` never throws or rejects.
   */
  callBack(call: (callback: Callback) => Promise<void> | undefined, done: () => void): void {
    this.#isCalling = true
    for (;;) {
      const callback = this.#callbacks.pop() ?? this.#late.shift()
      if (callback === undefined) break
      const pending = call(callback)
      if (pending !== undefined) {
        void pending.then(() => this.callBack(call, done))
        return
      }
    }
    done()
  }
}
