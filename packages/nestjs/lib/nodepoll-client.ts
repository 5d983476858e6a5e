import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { Logger } from '@nestjs/common'
import {
  ClientProxy,
  type IncomingResponse,
  type ReadPacket,
  type WritePacket,
} from '@nestjs/microservices'
import { type Connection, dial } from 'nodepoll'

import { connectionClosed } from './errors.ts'
import { DIAL_TIMEOUT_MS, RETRY_ATTEMPTS, RETRY_DELAY_MAX_MS, RETRY_DELAY_MS } from './limits.ts'
import { Link } from './link.ts'
import type { Message, Wire } from './message.ts'
import {
  forNest,
  type NodepollClientOptions,
  type TransportStatus,
  withEndpoint,
} from './options.ts'
import { makeWire } from './wire.ts'

/** What a client tells of. */
// A type and not an interface: Nest asks for an index signature.
// oxlint-disable-next-line typescript/consistent-type-definitions
export type ClientEvents = {
  /** The connection has ended with an error. */
  error: (error: unknown) => void
}

/**
 * A client of a microservice over nodepoll.
 *
 * It connects with the first call and holds one connection. When that ends, calls under way fail
 * with `ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED`, and the next call connects anew. When the server
 * says that it leaves, calls under way still get their replies, and the next call connects anew.
 * Whoever unsubscribes from a call ends it at the server, too.
 *
 * @example
 * ```ts
 * import { NodepollClient } from '@nodepoll/nestjs'
 *
 * const client = new NodepollClient({ host: '127.0.0.1', port: 3000 })
 * client.send('sum', [1, 2, 3]).subscribe({
 *   next: (sum) => console.log(sum),
 *   error: (error) => console.error(error),
 * })
 * ```
 */
export class NodepollClient extends ClientProxy<ClientEvents, TransportStatus> {
  readonly #logger = new Logger(NodepollClient.name)
  readonly #options: NodepollClientOptions
  readonly #wire: Wire
  readonly #events: EventEmitter = new EventEmitter()
  /** Of all connections: besides the current one those over which replies are still to come. */
  readonly #links: Map<Connection, Link> = new Map()
  #connecting: Promise<Link> | undefined
  #current: Link | undefined
  #closing: AbortController = new AbortController()

  constructor(options: NodepollClientOptions = {}) {
    super()
    this.#options = withEndpoint(options)
    this.#wire = makeWire(options)
    this.initializeSerializer(forNest(options))
    this.initializeDeserializer(forNest(options))
  }

  /** Connects, unless it is done. Every call does so by itself. Rejects with what dialling does. */
  connect(): Promise<unknown> {
    return this.#connect()
  }

  /** Ends all connections: what was sent arrives, calls under way fail. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort(connectionClosed())
    this.#closing = new AbortController()
    this.#forget()
    const links = [...this.#links.values()]
    const closed = links.map(({ connection }) => connection.close())
    for (const link of links) link.fail(connectionClosed())
    await Promise.all(closed)
  }

  /** Calls back for each event. */
  override on<K extends keyof ClientEvents>(event: K, callback: ClientEvents[K]): void {
    this.#events.on(event, callback)
  }

  /** nodepoll's connection. */
  unwrap<T = Connection>(): T {
    if (this.#current === undefined) throw new Error('There is no connection: `connect()` first.')
    return this.#current.connection as T
  }

  protected publish(partial: ReadPacket, callback: (packet: WritePacket) => void): () => void {
    const packet = this.assignPacketId(partial)
    let link: Link | undefined
    let isOver = false
    const ask = (to: Link): void => {
      if (isOver) return
      link = to
      try {
        to.ask(packet.id, this.serializer.serialize(packet), callback)
      } catch (error) {
        callback({ err: error, isDisposed: true })
      }
    }
    if (this.#current?.isUsable === true) ask(this.#current)
    else this.#usable().then(ask, (err: unknown) => callback({ err, isDisposed: true }))
    return () => {
      isOver = true
      link?.cancel(packet.id)
    }
  }

  protected async dispatchEvent<T>(packet: ReadPacket): Promise<T> {
    const link = this.#current?.isUsable === true ? this.#current : await this.#usable()
    const pattern = this.normalizePattern(packet.pattern)
    const isTaken = link.send(this.serializer.serialize({ ...packet, pattern }))
    if (!isTaken) await link.connection.writer.drained()
    return undefined as T
  }

  /** A connection that takes calls, however often the one before has left meanwhile. */
  async #usable(): Promise<Link> {
    for (;;) {
      const link = await this.#connect()
      if (link.isUsable) return link
      this.#forget(link)
    }
  }

  #connect(): Promise<Link> {
    if (this.#connecting !== undefined) return this.#connecting
    const connecting = this.#dial(this.#closing.signal).catch((error: unknown) => {
      if (this.#connecting === connecting) this.#connecting = undefined
      this._status$.next('disconnected')
      throw error
    })
    this.#connecting = connecting
    return connecting
  }

  /** Dials until there is a connection, with longer and longer pauses. */
  async #dial(signal: AbortSignal): Promise<Link> {
    const { retryAttempts = RETRY_ATTEMPTS, retryDelayMs = RETRY_DELAY_MS } = this.#options
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#opened(await this.#dialOnce(signal), signal)
      } catch (error) {
        if (signal.aborted || attempt >= retryAttempts) throw error
        const delayMs = Math.min(retryDelayMs * 2 ** attempt, RETRY_DELAY_MAX_MS)
        await sleep(delayMs, undefined, { signal }).catch(() => {
          throw signal.reason
        })
      }
    }
  }

  #dialOnce(signal: AbortSignal): Promise<Connection> {
    return dial({
      timeoutMs: DIAL_TIMEOUT_MS,
      ...this.#options,
      signal,
      onRequest: this.#wire.onMessage((message, connection) =>
        this.#receive(message, this.#linkOf(connection)),
      ),
      onError: (error) => this.#report(error),
    })
  }

  /** Of a connection that may have brought a message before `dial` has resolved. */
  #linkOf(connection: Connection): Link {
    let link = this.#links.get(connection)
    if (link === undefined) {
      link = new Link(connection, this.#wire)
      this.#links.set(connection, link)
    }
    return link
  }

  #opened(connection: Connection, signal: AbortSignal): Link {
    const link = this.#linkOf(connection)
    connection.addCloseCallback((_, { error }) => {
      this.#links.delete(connection)
      this.#forget(link)
      link.fail(connectionClosed(error))
    })
    if (signal.aborted) {
      void connection.close()
      throw signal.reason
    }
    // A server that is about to leave says so at once.
    if (!link.isUsable) throw connectionClosed()
    this.#current = link
    this._status$.next('connected')
    return link
  }

  /** Lets the next call connect anew. */
  #forget(link: Link | undefined = this.#current): void {
    if (link !== undefined && link !== this.#current) return
    this.#connecting = undefined
    if (this.#current === undefined) return
    this.#current = undefined
    this._status$.next('disconnected')
  }

  #receive(message: Message, link: Link): void | Promise<void> {
    if (message['goodbye'] === true) {
      this.#forget(link)
      return link.leave()
    }
    const reply: unknown = this.deserializer.deserialize(message)
    if (reply instanceof Promise) {
      return reply.then((each: IncomingResponse) => link.reply(each.id, each))
    }
    const response = reply as IncomingResponse
    return link.reply(response.id, response)
  }

  #report(error: unknown): void {
    const { code, message } = error as { code?: string; message?: string }
    this.#logger.error(`${code ?? 'error'}: ${message ?? String(error)}`)
    if (this.#events.listenerCount('error') > 0) this.#events.emit('error', error)
  }
}
