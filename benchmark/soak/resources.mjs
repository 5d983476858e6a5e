// What a process holds, and whether it has given back all of it.
import { readdirSync } from 'node:fs'
import { setImmediate as turn, setTimeout as later } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { LinkBuffer, stats } from 'nodepoll'

import { violate } from './violation.mjs'

/** Bytes of the node that all output is written into, which stays leased for good. */
const WRITE_NODE_BYTES = 64 << 10
const DRAIN_SECONDS = 30
const RSS_GROWTH_FACTOR = 1.25
const RSS_GROWTH_BYTES = 32 << 20

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

/** Open descriptors; `undefined` where there is no /proc. */
export function countDescriptors() {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/** What is held before the first client, and how it compares at each pause. */
export class Resources {
  #name
  #base
  #arenaBytes
  #rss

  static async begin(name) {
    const resources = new Resources(name)
    resources.#base = await holdings()
    return resources
  }

  constructor(name) {
    this.#name = name
  }

  /**
   * Waits until all is given back. `left()` tells what else is left, and is `undefined` when
   * nothing is.
   */
  async drain(left) {
    let missing
    for (const end = performance.now() + DRAIN_SECONDS * 1000; performance.now() < end;) {
      // Input of connections that are gone, if views of it were made, and dropped slices.
      collectGarbage()
      missing = left() ?? this.#compare(await holdings())
      if (missing === undefined) return
      await later(50)
    }
    violate(`${this.#name}: ${DRAIN_SECONDS} s after the last client has ended, ${missing}`)
  }

  /** Memory of the process, which from the first time on may not grow by much. */
  checkMemory() {
    const { arenaBytes } = stats()
    const { rss } = process.memoryUsage()
    this.#rss ??= rss
    this.#arenaBytes ??= arenaBytes
    // The arena never shrinks, and has a limit of its own.
    const arenaGrowth = Math.max(0, arenaBytes - this.#arenaBytes)
    const max = this.#rss * RSS_GROWTH_FACTOR + RSS_GROWTH_BYTES + arenaGrowth
    if (rss > max) {
      const [first, now, limit] = [this.#rss, rss, max].map((bytes) => `${bytes >> 20} MiB`)
      violate(`${this.#name}: RSS has grown from ${first} to ${now}, the limit is ${limit}`)
    }
    return rss
  }

  #compare(now) {
    const base = this.#base
    if (now.staleLeases > 0) {
      violate(`${this.#name}: ${now.staleLeases} releases named no lease`)
    }
    const wrong = Object.keys(base).filter((key) => now[key] !== base[key])
    if (wrong.length === 0) return undefined
    return wrong.map((key) => `${key} is ${now[key]}, not ${base[key]}`).join(', ')
  }
}

async function holdings() {
  // A fresh node to write into, as what is left of the one before is of no length in particular.
  new LinkBuffer(WRITE_NODE_BYTES).close()
  await turn()
  const { connections, listeners, arenaBytesLeased, arenaLeases, staleLeases } = stats()
  const { arenaBytesSliced } = stats()
  return {
    connections,
    listeners,
    arenaBytesLeased,
    arenaBytesSliced,
    arenaLeases,
    staleLeases,
    descriptors: countDescriptors(),
  }
}
