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

  constructor(passed: () => void, sent: () => number | undefined) {
    this.#passed = passed
    this.#sent = sent
  }

  /** Begins anew with so many milliseconds; 0 is never. */
  set(ms: number): void {
    this.stop()
    if (ms > 0) this.#timer = setTimeout(() => this.#look(), ms).unref()
  }

  /** Something has come or gone. */
  note(): void {
    this.#timer?.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const sent = this.#sent()
    const isSending = sent !== undefined && sent !== this.#sentBefore
    this.#sentBefore = sent
    if (isSending) this.note()
    else this.#passed()
  }
}
