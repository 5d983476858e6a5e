import type { Chain } from './chain.ts'
import { RESTS_MAX } from './limits.ts'

/**
 * Chains in which something was left unread. A short rest would hold the node that it lies in, and
 * the node its chunk, for as long as nothing more comes: all but the latest few of them are copied
 * out of the arena.
 */
export class Rests {
  /** Those of chains that are read or released meanwhile are `undefined`. */
  #chains: (Chain | undefined)[] = []

  add(chain: Chain): void {
    if (chain.restAt >= 0) return
    chain.restAt = this.#chains.length
    this.#chains.push(chain)
  }

  /**
   * Leaves the latest ones where they are. Not before continuations of promises have run: what
   * handlers wait for is not a rest.
   */
  trim(): void {
    const excess = this.#chains.length - RESTS_MAX
    if (excess <= 0) return
    const chains = this.#chains
    this.#chains = chains.slice(excess)
    for (let at = 0; at < RESTS_MAX; at++) {
      const chain = this.#chains[at]
      if (chain !== undefined) chain.restAt = at
    }
    chains.length = excess
    this.#compact(chains)
  }

  /** Memory is short: none of them stays where it is. */
  compactAll(): void {
    const chains = this.#chains
    this.#chains = []
    this.#compact(chains)
  }

  remove(chain: Chain): void {
    if (chain.restAt < 0) return
    this.#chains[chain.restAt] = undefined
    chain.restAt = -1
  }

  #compact(chains: readonly (Chain | undefined)[]): void {
    for (const chain of chains) {
      if (chain === undefined) continue
      chain.restAt = -1
      chain.compact()
    }
  }
}
