import type { Chain } from './chain.ts'

/** Bytes of a chain that a slice of it holds. They go on to count as held by the chain, too. */
export class Loan {
  readonly lender: Chain
  #held: number
  /** How often the lender had been released by then. */
  readonly #releases: number

  constructor(lender: Chain, bytes: number) {
    this.lender = lender
    this.#held = bytes
    this.#releases = lender.releases
    lender.lent += bytes
    lender.memory.bytesSliced += bytes
  }

  /** So many bytes are given back. */
  repay(bytes: number): void {
    if (bytes === 0) return
    const { lender } = this
    this.#held -= bytes
    lender.lent -= bytes
    lender.memory.bytesSliced -= bytes
    // Before its next release the lender holds what it has lent, too.
    if (this.#releases !== lender.releases) lender.consumedMax += bytes
  }

  /** All but so many bytes are given back. */
  keep(held: number): void {
    this.repay(this.#held - held)
  }
}
