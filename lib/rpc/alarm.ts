const DELAY_MAX = 2 ** 31 - 1

/**
 * One timer for many deadlines, which are points in time of `performance.now()`. At the earliest of
 * them it has all looked through: cheaper than a timer for each call, since most are answered long
 * before.
 */
export class Alarm {
  readonly #sweep: (now: number) => number
  #at = Infinity
  #timer: NodeJS.Timeout | undefined

  /** `sweep` deals with what is over, and returns the earliest deadline that is not. */
  constructor(sweep: (now: number) => number) {
    this.#sweep = sweep
  }

  /** Goes off at `at` or before. */
  set(at: number): void {
    if (at < this.#at) this.#arm(at)
  }

  cancel(): void {
    clearTimeout(this.#timer)
    this.#at = Infinity
  }

  #arm(at: number): void {
    clearTimeout(this.#timer)
    this.#at = at
    const delay = Math.ceil(at - performance.now())
    this.#timer = setTimeout(this.#ring, Math.min(Math.max(delay, 1), DELAY_MAX))
    // What is waited for keeps the process alive, and not how long.
    this.#timer.unref()
  }

  readonly #ring = (): void => {
    this.#at = Infinity
    const next = this.#sweep(performance.now())
    if (next < this.#at) this.#arm(next)
  }
}
