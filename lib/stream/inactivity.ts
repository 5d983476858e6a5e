/**
 * The timer of `setTimeout()` of a socket: tells once when nothing has come or gone for so long,
 * and again after the next activity.
 */
export class Inactivity {
  readonly #passed: () => void
  /** How much has left, as far as output is under way. */
  readonly #sent: () => number | undefined
  #sentBefore: number | undefined
  #timer: NodeJS.Timeout | undefined
  /** Milliseconds of the timer, and those that count: http sets and unsets them often. */
  #timerMs = 0
  #ms = 0

  constructor(passed: () => void, sent: () => number | undefined) {
    this.#passed = passed
    this.#sent = sent
  }

  /** Begins anew with so many milliseconds; 0 is never. */
  set(ms: number): void {
    this.#ms = ms
    if (ms > 0 && ms === this.#timerMs) this.#timer?.refresh()
    else if (ms > 0) this.#begin(ms)
  }

  #begin(ms: number): void {
    clearTimeout(this.#timer)
    this.#timerMs = ms
    this.#timer = setTimeout(() => this.#look(), ms).unref()
  }

  /** Something has come or gone. */
  note(): void {
    if (this.#ms > 0) this.#timer?.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerMs = 0
    this.#ms = 0
  }

  #look(): void {
    if (this.#ms === 0) return
    const sent = this.#sent()
    const isSending = sent !== undefined && sent !== this.#sentBefore
    this.#sentBefore = sent
    if (isSending) this.note()
    else this.#passed()
  }
}
