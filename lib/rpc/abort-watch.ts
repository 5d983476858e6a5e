/** What is given up when a signal is aborted. */
class Watch<T> {
  readonly items: Set<T> = new Set()
  readonly #aborted: (item: T) => void

  constructor(aborted: (item: T) => void) {
    this.#aborted = aborted
  }

  /** The listener of the signal. */
  handleEvent(): void {
    for (const item of this.items) this.#aborted(item)
  }
}

/**
 * One listener for each signal, however many calls it is for: Node warns of a signal with many
 * listeners.
 */
export class AbortWatch<T> {
  readonly #watches: Map<AbortSignal, Watch<T>> = new Map()
  readonly #aborted: (item: T) => void

  /** `aborted` is called for each item whose signal is aborted before it is removed. */
  constructor(aborted: (item: T) => void) {
    this.#aborted = aborted
  }

  add(signal: AbortSignal, item: T): void {
    let watch = this.#watches.get(signal)
    if (watch === undefined) {
      watch = new Watch(this.#aborted)
      this.#watches.set(signal, watch)
      signal.addEventListener('abort', watch)
    }
    watch.items.add(item)
  }

  remove(signal: AbortSignal, item: T): void {
    const watch = this.#watches.get(signal)
    if (watch?.items.delete(item) !== true || watch.items.size > 0) return
    this.#watches.delete(signal)
    signal.removeEventListener('abort', watch)
  }
}
