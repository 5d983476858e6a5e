import type { Connection } from '../connection.ts'
import { COMMAND_FILL, COMMAND_KEEP_ALIVE, COMMAND_WRITE } from '../native/record.ts'
import type { Dispatcher, Opened } from './dispatcher.ts'
import type { Lane } from './lane.ts'
import type { Segment } from './segment.ts'

/**
 * A connection's way to its driver: commands there, and how much the kernel has taken.
 *
 * A connection is made from this. Idle ones are counted in bytes, and a class with methods that are
 * private by `#` costs each instance a word, so that neither these classes nor those of input and
 * output have any.
 */
export abstract class Channel {
  readonly #lane: Lane<Connection>
  readonly #slot: number
  readonly #generation: number
  #sent = 0

  constructor({ lane, slot, generation }: Opened) {
    this.#lane = lane
    this.#slot = slot
    this.#generation = generation
    lane.connections[slot] = this as unknown as Connection
    lane.dispatcher.hold()
  }

  /** Bytes the kernel has taken, as far as the driver has told: it does so with other events. */
  get bytesWritten(): number {
    return this.#sent
  }

  /** @internal */
  get _dispatcher(): Dispatcher {
    return this.#lane.dispatcher
  }

  /** Whether more output is taken. @internal */
  get _takesOutput(): boolean {
    return !this.#lane.isOverfull
  }

  /** Writes a command about the connection, some about a position in its input. @internal */
  _command(kind: number, position = 0): void {
    this.#lane.command(kind, this.#slot, this.#generation, position | 0)
    this.#lane.dispatcher.schedule()
  }

  /** Sets how a silent peer is probed: seconds and a count. @internal */
  _keepAlive(idle: number, interval: number, count: number): void {
    const [slot, generation] = [this.#slot, this.#generation]
    this.#lane.commandSegment(COMMAND_KEEP_ALIVE, slot, generation, idle, interval, count)
    this.#lane.dispatcher.schedule()
  }

  /** Hands room over for what is received from a position on, with its lease. @internal */
  _fill({ node, at, end }: Segment, position: number): void {
    const [slot, generation] = [this.#slot, this.#generation]
    this.#lane.commandSegment(COMMAND_FILL, slot, generation, node, at, end - at, position | 0)
    this.#lane.dispatcher.schedule()
  }

  /** Hands a segment over to be sent, with its lease. @internal */
  _send({ node, at, end }: Segment): void {
    const lane = this.#lane
    const length = end - at
    if (lane.extendWrite(this.#slot, this.#generation, node, at, length)) {
      lane.dispatcher.memory.release(node)
    } else {
      lane.commandSegment(COMMAND_WRITE, this.#slot, this.#generation, node, at, length)
    }
    lane.dispatcher.schedule()
  }

  /** The driver has told how much was taken: the lower half of its count. @internal */
  _noteSent(low: number): void {
    this.#sent += (low - (this.#sent >>> 0)) >>> 0
  }

  /** The socket is gone; its slot may have a new tenant from now on. @internal */
  _leaveSlot(): void {
    this.#lane.connections[this.#slot] = undefined
  }
}
