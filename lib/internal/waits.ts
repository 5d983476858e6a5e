/** Reads that have waited so far. */
let waited = 0

/** What a connection's reads and drains wait for. Made when the first one has to wait. */
export class Waits {
  /** Which of all reads that have waited is under way here, waiting or about to go on. */
  since: number = Infinity
  #wanted = 0
  #resolveInput: (() => void) | undefined
  #resolveDrains: (() => void)[] = []

  get isReading(): boolean {
    return this.since !== Infinity
  }

  /** A read begins to wait. */
  begin(): void {
    this.since = ++waited
  }

  /** It goes on, or has failed. */
  end(): void {
    this.since = Infinity
  }

  /** Resolves when `n` bytes of input may be there, or none will come. */
  input(n: number): Promise<void> {
    this.#wanted = n
    return new Promise((resolve) => (this.#resolveInput = resolve))
  }

  /** Resolves when the driver has told of sent output, or none will be sent. */
  drain(): Promise<void> {
    return new Promise((resolve) => this.#resolveDrains.push(resolve))
  }

  /** Input has come; `Infinity` stands for its end. Whether somebody goes on now. */
  inputCame(length: number): boolean {
    const resolve = this.#resolveInput
    if (resolve === undefined || length < this.#wanted) return false
    this.#resolveInput = undefined
    resolve()
    return true
  }

  /** Output has been taken, or none will be. Whether somebody goes on now. */
  outputTaken(): boolean {
    const resolves = this.#resolveDrains
    this.#resolveDrains = []
    for (const resolve of resolves) resolve()
    return resolves.length > 0
  }
}
