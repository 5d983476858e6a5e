// Progress on stderr: one line that is rewritten on a terminal, a line a phase elsewhere.

const isTerminal = process.stderr.isTTY === true

export function showPhase(label) {
  process.stderr.write(isTerminal ? `\r\x1b[K${label} …` : `${label}\n`)
}

export function showRate(label, requestsPerSecond) {
  if (!isTerminal) return
  const rate = requestsPerSecond.toLocaleString('en-US')
  process.stderr.write(`\r\x1b[K${label} … ${rate} requests/s`)
}

export function clearProgress() {
  if (isTerminal) process.stderr.write('\r\x1b[K')
}

/** Counts what is to be done, and tells how long the rest may take once it can be known. */
export class Schedule {
  #total
  #begun = 0
  #startedAt = performance.now()

  constructor(total) {
    this.#total = total
  }

  /** For the label of the next one: `[12/210, about 9 min left]`. */
  next() {
    const done = this.#begun
    this.#begun += 1
    const place = `${this.#begun}/${this.#total}`
    if (done === 0) return `[${place}]`
    const leftMs = ((performance.now() - this.#startedAt) / done) * (this.#total - done)
    const left =
      leftMs < 90_000 ? `${Math.ceil(leftMs / 1000)} s` : `${Math.ceil(leftMs / 60_000)} min`
    return `[${place}, about ${left} left]`
  }
}
