// Random numbers that a seed repeats.

export class Random {
  #state

  constructor(seed) {
    this.#state = seed >>> 0
  }

  /** From 0 up to 1, which is not reached (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** From `min` to `max`, both included. */
  integer(min, max) {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  /** The same, but each order of magnitude is as likely as any other. `min` is above zero. */
  magnitude(min, max) {
    return Math.min(max, Math.floor(min * ((max + 1) / min) ** this.next()))
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(list) {
    return list[this.integer(0, list.length - 1)]
  }

  /** One of a list of things with a `weight`. */
  pickWeighted(list) {
    const total = list.reduce((sum, { weight }) => sum + weight, 0)
    let left = this.next() * total
    return list.find(({ weight }) => (left -= weight) < 0) ?? list.at(-1)
  }
}
