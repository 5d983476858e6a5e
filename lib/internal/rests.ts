import type { Chain } from './chain.ts'
import { RESTS_MAX } from './limits.ts'

/**
 * Chains in which something was left unread. A short rest would hold the node that it lies in, and
 * the node its chunk, for as long as nothing more comes: all but the latest few of them are copied
 * out of the arena.
 */
export class Rests {
  readonly #chains: (Chain | undefined)[] = []
  #next = 0

  add(chain: Chain): void {
    if (chain.restAt >= 0) return
    const at = this.#next
    const oldest = this.#chains[at]
    if (oldest !== undefined) {
      this.remove(oldest)
      oldest.compact()
    }
    chain.restAt = at
    this.#chains[at] = chain
    this.#next = (at + 1) % RESTS_MAX
  }

  /** Memory is short: none of them stays where it is. */
  compactAll(): void {
    for (const chain of this.#chains) {
      if (chain === undefined) continue
      this.remove(chain)
      chain.compact()
    }
  }

  remove(chain: Chain): void {
    if (chain.restAt < 0) return
    this.#chains[chain.restAt] = undefined
    chain.restAt = -1
  }
}
