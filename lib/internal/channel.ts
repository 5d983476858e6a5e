import type { Connection } from '../connection.ts'
import { COMMAND_FILL, COMMAND_KEEP_ALIVE, COMMAND_WRITE } from '../native/record.ts'
import type { Dispatcher, Opened } from './dispatcher.ts'
import type { Lane } from './lane.ts'
import type { Segment } from './segment.ts'

/** A connection's way to its driver: commands there, and how much the kernel has taken. */
export class Channel {
  readonly dispatcher: Dispatcher
  /** Bytes the kernel has taken, as far as the driver has told. */
  sent = 0
  readonly #lane: Lane<Connection>
  readonly #slot: number
  readonly #generation: number

  constructor(dispatcher: Dispatcher, opened: Opened, connection: Connection) {
    this.dispatcher = dispatcher
    this.#lane = opened.lane
    this.#slot = opened.slot
    this.#generation = opened.generation
    this.#lane.connections[this.#slot] = connection
    dispatcher.hold()
  }

  /** Whether more output is taken. */
  get takesOutput(): boolean {
    return !this.#lane.isOverfull
  }

  /** Writes a command about the connection, some about a position in its input. */
  command(kind: number, position = 0): void {
    this.#lane.command(kind, this.#slot, this.#generation, position | 0)
    this.dispatcher.schedule()
  }

  /** Sets how a silent peer is probed: seconds and a count. */
  keepAlive(idle: number, interval: number, count: number): void {
    const [slot, generation] = [this.#slot, this.#generation]
    this.#lane.commandSegment(COMMAND_KEEP_ALIVE, slot, generation, idle, interval, count)
    this.dispatcher.schedule()
  }

  /** Hands room over for what is received from a position on, with its lease. */
  fill({ node, at, end }: Segment, position: number): void {
    const [slot, generation] = [this.#slot, this.#generation]
    this.#lane.commandSegment(COMMAND_FILL, slot, generation, node, at, end - at, position | 0)
    this.dispatcher.schedule()
  }

  /** Hands a segment over to be sent, with its lease. */
  send({ node, at, end }: Segment): void {
    const length = end - at
    if (this.#lane.extendWrite(this.#slot, this.#generation, node, at, length)) {
      this.dispatcher.memory.release(node)
    } else {
      this.#lane.commandSegment(COMMAND_WRITE, this.#slot, this.#generation, node, at, length)
    }
    this.dispatcher.schedule()
  }

  /** The driver has told how much was taken: the lower half of its count. */
  noteSent(low: number): void {
    this.sent += (low - (this.sent >>> 0)) >>> 0
  }

  /** The socket is gone; its slot may have a new tenant from now on. */
  close(): void {
    this.#lane.connections[this.#slot] = undefined
  }
}
