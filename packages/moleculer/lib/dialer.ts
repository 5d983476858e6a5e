import { setTimeout as sleep } from 'node:timers/promises'

import type { Connection } from 'nodepoll'

import { formatAddress, type NodeAddress } from './options.ts'

/** What a dialer needs of its transporter. */
export interface DialerHost {
  readonly retryDelayMs: number
  readonly retryDelayMaxMs: number
  /** Connects; rejects when the signal is aborted. */
  dial(address: NodeAddress, signal: AbortSignal): Promise<Connection>
  /** An attempt has failed. */
  failed(address: string, error: unknown, delayMs: number): void
}

/** Keeps one connection to an address up: dials again, with longer and longer pauses. */
export class Dialer {
  /** Settles when the first attempt has succeeded or failed. */
  readonly attempted: Promise<void>
  readonly #address: NodeAddress
  readonly #host: DialerHost
  readonly #stopping: AbortController = new AbortController()
  #greeted = false

  constructor(address: NodeAddress, host: DialerHost) {
    this.#address = address
    this.#host = host
    this.attempted = new Promise((resolve) => void this.#run(resolve))
  }

  /** Its node has introduced itself: the next pause is a short one again. */
  succeeded(): void {
    this.#greeted = true
  }

  /** Dials no more. A connection that is there stays. */
  stop(): void {
    this.#stopping.abort()
  }

  async #run(attempted: () => void): Promise<void> {
    const { signal } = this.#stopping
    const { retryDelayMs, retryDelayMaxMs } = this.#host
    let delayMs = retryDelayMs
    while (!signal.aborted) {
      try {
        const connection = await this.#host.dial(this.#address, signal)
        attempted()
        const { error } = await connection.closed
        if (error !== undefined) throw error
      } catch (error) {
        if (!signal.aborted) this.#host.failed(formatAddress(this.#address), error, delayMs)
      }
      attempted()
      if (this.#greeted) delayMs = retryDelayMs
      this.#greeted = false
      // A pause keeps no process alive that has nothing else to do.
      await sleep(delayMs, undefined, { signal, ref: false }).catch(() => {})
      delayMs = Math.min(2 * delayMs, retryDelayMaxMs)
    }
  }
}
