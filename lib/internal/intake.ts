import { failure } from '../errors.ts'
import { COMMAND_WINDOW } from '../native/record.ts'
import type { Chain } from './chain.ts'
import type { Channel } from './channel.ts'
import { FILL_BYTES_MIN } from './limits.ts'

/**
 * How far the driver may receive a connection's input, and into what.
 *
 * ```text
 *  consumed       received      window
 *     │ unread       │ may come    │ the driver stops here
 *     ▼              ▼             ▼
 *  ───┼──────────────┼─────────────┼───▶ position in the stream
 * ```
 * The window moves on as input is consumed, half of its length at a time, and as far as a waiting
 * read needs. So the input never grows beyond it, and no read waits for what may not come.
 */
export class Intake {
  readonly #channel: Channel
  readonly #chain: Chain
  readonly #max: number
  /** Up to where the driver may receive. */
  #window: number
  /** Up to where a read waits for input, or has waited. */
  #wanted = 0
  /** Up to where room for it has been provided. */
  #provided = 0

  constructor(channel: Channel, chain: Chain, max: number) {
    this.#channel = channel
    this.#chain = chain
    this.#max = max
    this.#window = max
    chain.onMoved = this
    this.#arrange()
  }

  /** So much has been consumed that the window moves on. */
  moved(): void {
    this.#open(this.#chain.consumed + this.#max)
    this.#arrange()
  }

  /**
   * A read waits for `n` bytes.
   *
   * @throws `ERR_NODEPOLL_READ_LIMIT` if there will never be room for so many.
   */
  want(n: number): void {
    const { memory } = this.#channel.dispatcher
    const max = Math.max(this.#max, memory.waitMax)
    if (n > max) {
      throw failure('ERR_NODEPOLL_READ_LIMIT', `no read can wait for more than ${max} bytes`)
    }
    const { consumed, length } = this.#chain
    this.#wanted = consumed + n
    // Some more than that, for those who do not know how much they will have to wait for.
    if (this.#wanted > this.#window) this.#open(this.#wanted + (this.#max >> 1))
    this.#arrange()
    if (n - length < FILL_BYTES_MIN && !memory.isShort) return
    if (!this.provide(false)) this.#channel.dispatcher.relieve()
  }

  /** Whether room has been provided for what a read waits for. */
  get isProvided(): boolean {
    return this.#provided >= this.#wanted
  }

  /**
   * Provides room for what a read waits for, in one piece; if it has to be, `beyond` what the arena
   * may have. Whether there is such room.
   */
  provide(beyond: boolean): boolean {
    if (this.isProvided) return true
    const { consumed } = this.#chain
    const room = this.#channel.dispatcher.memory.leaseRoom(this.#wanted - consumed, beyond)
    if (room === undefined) return false
    this.#provided = this.#wanted
    this.#channel.fill(room, consumed)
    return true
  }

  #open(position: number): void {
    if (position <= this.#window) return
    this.#window = position
    this.#channel.command(COMMAND_WINDOW, position)
  }

  /** The window is to be moved when half of it has been consumed. */
  #arrange(): void {
    this.#chain.moveAt = this.#window - (this.#max >> 1)
  }
}
