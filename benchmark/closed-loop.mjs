// Callers in a process of their own, who each make one call after the other for a given time.
import { setTimeout as sleep } from 'node:timers/promises'

/** One of so many calls has its latency measured: the clock is not free. */
const SAMPLE = 16

/**
 * Counts what is done, and tells the parent process of it in words and in a line of JSON: for
 * `warmup` seconds nothing, then for `seconds` each `done()`.
 */
export class ClosedLoop {
  #calls = 0
  #latencies = []
  #hasEnded = false

  /** Whether no more calls are to be made. */
  get hasEnded() {
    return this.#hasEnded
  }

  /** When a call begins whose latency counts, and else 0. */
  begin() {
    return this.#calls % SAMPLE === 0 ? performance.now() : 0
  }

  /** `count` calls are done, the first of which has begun at `since`. */
  done(since, count = 1) {
    if (since > 0) this.#latencies.push(performance.now() - since)
    this.#calls += count
  }

  /** Runs the callers, promises, until the time is over and all have stopped. */
  async run(callers, { warmup, seconds }) {
    const all = Promise.all(callers)
    await Promise.race([all, sleep(warmup * 1000)])
    this.#calls = 0
    this.#latencies = []
    console.log('measuring')
    const began = performance.now()
    await Promise.race([all, sleep(seconds * 1000)])
    const calls = this.#calls
    const elapsed = performance.now() - began
    console.log('measured')
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    this.#hasEnded = true
    await all
    const quantile = (share) => sorted[Math.floor(sorted.length * share)] * 1000
    const callsPerSecond = calls / (elapsed / 1000)
    return { calls, callsPerSecond, p50us: quantile(0.5), p99us: quantile(0.99) }
  }
}
