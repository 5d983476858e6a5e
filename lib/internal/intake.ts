import { failure } from '../errors.ts'
import { COMMAND_WINDOW } from '../native/record.ts'
import { Chain } from './chain.ts'
import type { Channel } from './channel.ts'
import { FILL_BYTES_MIN, UNRELEASED_MAX } from './limits.ts'
import type { Memory } from './memory.ts'

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
 *
 * A connection has one only while it has input or waits for some.
 */
export class Intake {
  readonly chain: Chain
  readonly #memory: Memory
  #channel: Channel | undefined
  #max = 0
  /** Up to where the driver may receive. */
  #window = 0
  /** Up to where a read waits for input, or has waited. */
  #wanted = 0
  /** Up to where room for it has been provided. */
  #provided = 0

  constructor(memory: Memory) {
    this.#memory = memory
    this.chain = new Chain(memory, UNRELEASED_MAX)
    this.chain.intake = this
  }

  /**
   * Goes on with the input of a connection of which all up to the position `consumed` is consumed,
   * and of which up to `max` bytes may be unread.
   */
  begin(channel: Channel, consumed: number, window: number, max: number): void {
    this.#channel = channel
    this.#max = max
    this.#window = window
    this.#wanted = consumed
    this.#provided = consumed
    this.chain.begin(consumed)
    this.#arrange()
  }

  /** Whether its connection can do without it until more input comes. */
  get isIdle(): boolean {
    return this.#wanted <= this.chain.consumed && this.chain.isIdle
  }

  /** Gives the connection up. Up to where its driver may receive. */
  end(): number {
    this.#channel = undefined
    this.chain.end()
    return this.#window
  }

  /** So much has been consumed that the window moves on. */
  moved(): void {
    this.#open(this.chain.consumed + this.#max)
    this.#arrange()
  }

  /**
   * A read waits for `n` bytes.
   *
   * @throws `ERR_NODEPOLL_READ_LIMIT` if there will never be room for so many.
   */
  want(n: number): void {
    const memory = this.#memory
    const max = Math.max(this.#max, memory.waitMax)
    if (n > max) {
      throw failure('ERR_NODEPOLL_READ_LIMIT', `no read can wait for more than ${max} bytes`)
    }
    const { consumed, length } = this.chain
    this.#wanted = consumed + n
    // Some more than that, for those who do not know how much they will have to wait for.
    if (this.#wanted > this.#window) this.#open(this.#wanted + (this.#max >> 1))
    this.#arrange()
    if (n - length < FILL_BYTES_MIN && !memory.isShort) return
    if (!this.provide(false)) this.#channel?._dispatcher.relieve()
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
    const { consumed } = this.chain
    const room = this.#memory.leaseRoom(this.#wanted - consumed, beyond)
    if (room === undefined) return false
    this.#provided = this.#wanted
    this.#channel?._fill(room, consumed)
    return true
  }

  #open(position: number): void {
    if (position <= this.#window) return
    this.#window = position
    this.#channel?._command(COMMAND_WINDOW, position)
  }

  /** The window is to be moved when half of it has been consumed. */
  #arrange(): void {
    this.chain.moveAt = this.#window - (this.#max >> 1)
  }
}
