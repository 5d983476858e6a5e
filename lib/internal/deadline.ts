import { addAbortListener } from 'node:events'

/** When nobody waits any more: after a time, or when a signal is aborted. */
export class Deadline {
  readonly passed: Promise<false>
  readonly #signal: AbortSignal | undefined
  #timer: NodeJS.Timeout | undefined
  #subscription: Disposable | undefined

  constructor(ms: number | undefined, signal: AbortSignal | undefined) {
    this.#signal = signal
    this.passed = new Promise((resolve) => {
      const pass = (): void => resolve(false)
      if (signal?.aborted) pass()
      else if (signal !== undefined) this.#subscription = addAbortListener(signal, pass)
      if (ms !== undefined) this.#timer = setTimeout(pass, ms)
    })
  }

  /** What the error of a deadline says of its cause. */
  get cause(): ErrorOptions {
    return this.#signal?.aborted ? { cause: this.#signal.reason } : {}
  }

  cancel(): void {
    clearTimeout(this.#timer)
    this.#subscription?.[Symbol.dispose]()
  }
}
