import {
  COMMAND_WRITE,
  CONTROL_LANES,
  GENERATION,
  KIND,
  LANE_COMMAND_HEAD,
  LANE_COMMAND_TAIL,
  LANE_EVENT_HEAD,
  LANE_EVENT_TAIL,
  LANE_WORDS,
  LENGTH,
  NODE,
  OFFSET,
  POSITION,
  SLOT,
  WORDS,
} from '../native/record.ts'
import type { Dispatcher } from './dispatcher.ts'
import { COMMANDS_WAITING_MAX, RING_RECORDS } from './limits.ts'

const MASK = RING_RECORDS - 1

/** Words of a record that waits for room in the ring: kind, slot, generation and four more. */
const WAITING_WORDS = 7

/**
 * JavaScript's end of one poller: a ring to write commands into, a ring to read events from.
 *
 * Positions count records and wrap as 32-bit integers. Nothing here crosses into native code;
 * `store` and `load` put the positions where the next exchange looks for them and leaves them.
 */
export class Lane<C> {
  /** To whom it belongs, who sets this. */
  dispatcher!: Dispatcher
  readonly index: number
  readonly commands: Int32Array
  readonly events: Int32Array
  /** Open connections by slot. */
  readonly connections: (C | undefined)[] = []
  /** Position of the next event to read. */
  eventHead = 0
  /** Position after the last event that has been posted. */
  eventTail = 0
  readonly #control: Int32Array
  readonly #base: number
  #commandTail = 0
  #commandHead = 0
  /** Where the commands begin that no exchange has carried over yet. */
  #submitted = 0
  /** Whole records that found no room in the ring, in order. */
  #overflow: number[] = []

  constructor(index: number, control: Int32Array) {
    this.index = index
    this.commands = new Int32Array(RING_RECORDS * WORDS)
    this.events = new Int32Array(RING_RECORDS * WORDS)
    this.#control = control
    this.#base = CONTROL_LANES + index * LANE_WORDS
  }

  /** The index in `events` of the record at a position. */
  eventAt(position: number): number {
    return (position & MASK) * WORDS
  }

  /** Whether commands wait that the next exchange will not carry over. */
  get overflows(): boolean {
    return this.#overflow.length > 0
  }

  /** Whether there are commands that the driver has not taken, as of the last exchange. */
  get hasCommands(): boolean {
    return this.#commandHead !== this.#commandTail || this.#overflow.length > 0
  }

  /** Whether so many commands wait that no more output is taken. */
  get isOverfull(): boolean {
    return this.#overflow.length >= COMMANDS_WAITING_MAX * WAITING_WORDS
  }

  /** Writes a command about a connection. */
  command(kind: number, slot: number, generation: number, position = 0): void {
    this.commandSegment(kind, slot, generation, 0, 0, 0, position)
  }

  /** Writes a command about a listener or a dial. */
  commandNumber(kind: number, number: number, window = 0): void {
    this.commandSegment(kind, 0, 0, number, window, 0)
  }

  /**
   * Makes the last command longer, if it has not been carried over and is a write of the bytes just
   * before these to the same connection. So many small flushes become one command.
   */
  extendWrite(
    slot: number,
    generation: number,
    node: number,
    offset: number,
    length: number,
  ): boolean {
    const last = (this.#commandTail - 1) | 0
    if (this.#commandTail === this.#submitted || this.#overflow.length > 0) return false
    const { commands } = this
    const at = (last & MASK) * WORDS
    const isNext =
      commands[at + KIND] === COMMAND_WRITE &&
      commands[at + SLOT] === slot &&
      commands[at + GENERATION] === generation &&
      commands[at + NODE] === node &&
      (commands[at + OFFSET] as number) + (commands[at + LENGTH] as number) === offset
    if (isNext) commands[at + LENGTH] = (commands[at + LENGTH] as number) + length
    return isNext
  }

  /** Writes a command about a segment. */
  commandSegment(
    kind: number,
    slot: number,
    generation: number,
    node: number,
    offset: number,
    length: number,
    position = 0,
  ): void {
    if (this.#isFull() || this.#overflow.length > 0) {
      this.#overflow.push(kind, slot, generation, node, offset, length, position)
      return
    }
    const { commands } = this
    const at = (this.#commandTail & MASK) * WORDS
    commands[at + KIND] = kind
    commands[at + SLOT] = slot
    commands[at + GENERATION] = generation
    commands[at + NODE] = node
    commands[at + OFFSET] = offset
    commands[at + LENGTH] = length
    commands[at + POSITION] = position
    this.#commandTail = (this.#commandTail + 1) | 0
  }

  /** Before an exchange. */
  store(): void {
    if (this.#overflow.length > 0) this.#retry()
    this.#submitted = this.#commandTail
    this.#control[this.#base + LANE_COMMAND_TAIL] = this.#commandTail
    this.#control[this.#base + LANE_EVENT_HEAD] = this.eventHead
  }

  /** After an exchange. */
  load(): void {
    this.#commandHead = this.#control[this.#base + LANE_COMMAND_HEAD] as number
    this.eventTail = this.#control[this.#base + LANE_EVENT_TAIL] as number
  }

  #isFull(): boolean {
    return ((this.#commandTail - this.#commandHead) | 0) === RING_RECORDS
  }

  #retry(): void {
    const waiting = this.#overflow
    this.#overflow = []
    let at = 0
    for (; at < waiting.length && !this.#isFull(); at += WAITING_WORDS) {
      const record = waiting.slice(at, at + WAITING_WORDS)
      this.commandSegment(...(record as Parameters<typeof this.commandSegment>))
    }
    this.#overflow = waiting.slice(at)
  }
}
