import type { Connection } from 'nodepoll'
import type { Subscription } from 'rxjs'

import { type Message, type Wire } from './message.ts'
import { send } from './wire.ts'

/** A call or an event that is under way. */
export class Call {
  /** What the peer calls it; an event has none. */
  readonly id: unknown
  /** Where its values come from, once they do. */
  subscription: Subscription | undefined
  isOver = false
  readonly #ended: () => void

  constructor(id: unknown, ended: () => void) {
    this.id = id
    this.#ended = ended
  }

  /** It has had its last reply, or nobody wants one any more. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.#ended()
    this.subscription?.unsubscribe()
  }
}

/** What a server knows of one connection: what it has under way, and how it comes to an end. */
export class Session {
  readonly connection: Connection
  readonly #wire: Wire
  readonly #calls: Set<Call> = new Set()
  readonly #callsById: Map<unknown, Call> = new Map()
  #isLeaving = false
  #taken: Promise<void> | undefined
  #callEnded: (() => void)[] = []

  constructor(connection: Connection, wire: Wire) {
    this.connection = connection
    this.#wire = wire
    connection.addCloseCallback(() => {
      for (const call of this.#calls) call.end()
    })
  }

  get callCount(): number {
    return this.#calls.size
  }

  /** Whether calls that come now are too late: their peer cannot be told to go elsewhere. */
  get refusesCalls(): boolean {
    return this.#isLeaving && this.#wire.protocol === 'tcp'
  }

  /** While this is pending, the peer does not take what it has asked for. */
  get taken(): Promise<void> | undefined {
    return this.#taken
  }

  begin(id: unknown, ended: () => void): Call {
    const call = new Call(id, () => {
      this.#calls.delete(call)
      if (this.#callsById.get(id) === call) this.#callsById.delete(id)
      for (const resolve of this.#callEnded.splice(0)) resolve()
      ended()
      this.#endIfDone()
    })
    this.#calls.add(call)
    if (id !== undefined) this.#callsById.set(id, call)
    return call
  }

  /** Resolves when one of its calls has ended. */
  callEnds(): Promise<void> {
    return new Promise((resolve) => this.#callEnded.push(resolve))
  }

  /** The peer wants no further reply to a call. */
  cancel(id: unknown): void {
    this.#callsById.get(id)?.end()
  }

  /** Throws what writing and serializing do; then nothing was sent. */
  send(message: unknown): void {
    if (!this.connection.isActive) return
    if (send(this.#wire, this.connection, message) || this.#taken !== undefined) return
    const forget = (): void => {
      this.#taken = undefined
    }
    this.#taken = this.connection.writer.drained().then(forget, forget)
  }

  /** Asks the peer to take its next calls elsewhere, and ends when none is under way. */
  leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    const goodbye: Message = { goodbye: true }
    if (this.#wire.protocol === 'nodepoll') this.send(goodbye)
    this.#endIfDone()
  }

  /** A peer that was told ends the connection itself, so that none of its calls meets the end. */
  #endIfDone(): void {
    if (this.refusesCalls && this.#calls.size === 0) void this.connection.close()
  }
}
