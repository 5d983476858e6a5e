/** Things that are used again and again, so that who is idle need not hold one. */
export class Pool<Thing> {
  readonly #spare: Thing[] = []
  readonly #make: () => Thing
  readonly #max: number

  /** No more than `max` are kept. */
  constructor(make: () => Thing, max: number) {
    this.#make = make
    this.#max = max
  }

  take(): Thing {
    return this.#spare.pop() ?? this.#make()
  }

  /** Gives back what nobody else knows any more. */
  give(thing: Thing): void {
    if (this.#spare.length < this.#max) this.#spare.push(thing)
  }
}
