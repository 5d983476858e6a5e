import type { WritePacket } from '@nestjs/microservices'
import type { Connection } from 'nodepoll'

import type { Wire } from './message.ts'
import { send } from './wire.ts'

/** Gets the replies to a call. */
export type OnReply = (reply: WritePacket) => void

/** A client's connection, and the calls whose replies are to come over it. */
export class Link {
  readonly connection: Connection
  readonly #wire: Wire
  readonly #calls: Map<unknown, OnReply> = new Map()
  #isLeaving = false

  constructor(connection: Connection, wire: Wire) {
    this.connection = connection
    this.#wire = wire
  }

  /** Whether further calls may be made over it. */
  get isUsable(): boolean {
    return !this.#isLeaving && this.connection.isActive
  }

  /** Sends a message that asks for no reply. `false`: the server should take it before more. */
  send(message: unknown): boolean {
    return send(this.#wire, this.connection, message)
  }

  /** Sends a request. Throws what writing does; then nothing was sent. */
  ask(id: unknown, message: unknown, onReply: OnReply): void {
    this.send(message)
    this.#calls.set(id, onReply)
  }

  reply(id: unknown, { err, response, isDisposed }: WritePacket): void {
    const onReply = this.#calls.get(id)
    if (onReply === undefined) return
    if (isDisposed !== true && (err === undefined || err === null))
      return onReply({ err, response })
    this.#calls.delete(id)
    onReply({ err, response, isDisposed: true })
    this.#closeIfDone()
  }

  /** Nobody wants further replies to a call. */
  cancel(id: unknown): void {
    if (!this.#calls.delete(id)) return
    if (this.#wire.protocol === 'nodepoll' && this.connection.isActive) {
      this.send({ id, cancel: true })
    }
    this.#closeIfDone()
  }

  /** The server wants no more calls: the connection ends when all replies have come. */
  leave(): void {
    this.#isLeaving = true
    this.#closeIfDone()
  }

  /** Tells all that no reply will come. */
  fail(error: Error): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const onReply of calls) onReply({ err: error, isDisposed: true })
  }

  #closeIfDone(): void {
    if (this.#isLeaving && this.#calls.size === 0) void this.connection.close()
  }
}
