import { performance } from 'node:perf_hooks'

const TIMER_MS_MAX = 2 ** 31 - 1

/** Milliseconds on a clock that nobody sets. */
export const now = (): number => performance.now()

/** How long a call waits: so long each time, or until a point in time, which comes first. */
export class Patience {
  #ms: number
  #deadline: number | undefined

  /** `ms` of 0 is no limit. */
  constructor(ms: number) {
    this.#ms = ms
  }

  set ms(ms: number) {
    this.#ms = ms
  }

  /** A point in time as the user's clock has it, or `null` for none. It is looked at once. */
  set deadline(at: number | null) {
    this.#deadline = at === null ? undefined : now() + (at - Date.now())
  }

  /** When a call that has begun then has waited long enough. */
  until(since: number): number {
    if (this.#deadline !== undefined) return this.#deadline
    return this.#ms > 0 ? since + this.#ms : Infinity
  }

  /** Milliseconds that a call which begins now may take, at least one; 0 if as long as it likes. */
  get left(): number {
    const since = now()
    const until = this.until(since)
    if (until === Infinity) return 0
    return Math.min(Math.max(1, Math.ceil(until - since)), TIMER_MS_MAX)
  }
}

/**
 * Rings once at a point in time or shortly after, never before. It is moved for each call that
 * waits, so that moving it away costs nothing: what runs is left to find nothing to do. It does not
 * keep the process alive.
 */
export class Alarm {
  readonly #rings: () => void
  #at = Infinity
  #timer: NodeJS.Timeout | undefined
  #timerAt = Infinity

  constructor(rings: () => void) {
    this.#rings = rings
  }

  /** `Infinity` is never. */
  set(at: number): void {
    this.#at = at
    if (this.#timerAt <= at) return
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    const ms = Math.min(Math.max(1, Math.ceil(at - now())), TIMER_MS_MAX)
    this.#timerAt = Math.min(at, now() + ms)
    this.#timer = setTimeout(this.#look, ms)
    this.#timer.unref()
  }

  /** Ends it for good. */
  stop(): void {
    this.#at = Infinity
    clearTimeout(this.#timer)
  }

  readonly #look = (): void => {
    this.#timer = undefined
    this.#timerAt = Infinity
    const at = this.#at
    if (at === Infinity) return
    if (now() < at) {
      this.set(at)
      return
    }
    this.#at = Infinity
    this.#rings()
  }
}
