import { EventEmitter } from 'node:events'

import {
  type CustomTransportStrategy,
  type IncomingRequest,
  type OutgoingResponse,
  Server as NestServer,
  type WritePacket,
} from '@nestjs/microservices'
import { NO_MESSAGE_HANDLER } from '@nestjs/microservices/constants.js'
import { type Connection, serve, type Server } from 'nodepoll'

import { NodepollContext } from './context.ts'
import { malformed, TransportError } from './errors.ts'
import { CALLS_MAX, CLOSE_DEADLINE_MS, END_DEADLINE_MS } from './limits.ts'
import type { Message, Wire } from './message.ts'
import {
  forNest,
  type NodepollServerOptions,
  type TransportStatus,
  withEndpoint,
} from './options.ts'
import { type Call, Session } from './session.ts'
import { makeWire } from './wire.ts'

/** By this a handler says that it is for this transport alone, in an app that has several. */
export const NODEPOLL_TRANSPORT: unique symbol = Symbol('nodepoll')

/** What a server tells of. */
// A type and not an interface: Nest asks for an index signature.
// oxlint-disable-next-line typescript/consistent-type-definitions
export type ServerEvents = {
  /** A connection has ended with an error, or none can be accepted. */
  error: (error: unknown, connection: Connection | undefined) => void
}

/** What an error of a handler becomes that no filter of Nest has seen. */
const INTERNAL_ERROR = { status: 'error', message: 'Internal server error' }

/**
 * A microservice over nodepoll.
 *
 * `close()` loses no call: peers that speak nodepoll's protocol are told to make further ones
 * elsewhere and end their connections when they have their replies. Peers of Nest's protocol
 * cannot be told; what they still ask is refused with `ERR_NODEPOLL_NESTJS_SERVER_CLOSING`, and
 * their connections are closed when what was begun is answered. After `closeDeadlineMs` what is
 * left is cut off.
 *
 * @example
 * ```ts
 * import { NestFactory } from '@nestjs/core'
 * import { NodepollServer } from '@nodepoll/nestjs'
 *
 * class AppModule {}
 * const app = await NestFactory.createMicroservice(AppModule, {
 *   strategy: new NodepollServer({ host: '127.0.0.1', port: 3000 }),
 * })
 * await app.listen()
 * ```
 */
export class NodepollServer
  extends NestServer<ServerEvents, TransportStatus>
  implements CustomTransportStrategy
{
  override transportId: symbol = NODEPOLL_TRANSPORT
  readonly #options: NodepollServerOptions
  readonly #wire: Wire
  readonly #callsMax: number
  readonly #sessions: Set<Session> = new Set()
  readonly #events: EventEmitter = new EventEmitter()
  #listening: Promise<Server> | undefined
  #server: Server | undefined
  #isLeaving = false

  constructor(options: NodepollServerOptions = {}) {
    super()
    this.#options = withEndpoint(options)
    this.#wire = makeWire(options)
    this.#callsMax = options.callsMax ?? CALLS_MAX
    this.initializeSerializer(forNest(options))
    this.initializeDeserializer(forNest(options))
  }

  /** Listens. The callback gets an error, or nothing and then the address. */
  listen(callback: (...optionalParams: unknown[]) => unknown): void {
    this.#isLeaving = false
    this.#listening = serve<Session>({
      ...this.#options,
      autoRelease: true,
      onConnect: (connection) => this.#begin(connection),
      onRequest: this.#wire.onMessage<Session>((message, _, session) =>
        this.#receive(message, session),
      ),
      onError: (error, connection) => this.#report(error, connection),
    })
    this.#listening.then(
      (server) => {
        this.#server = server
        this._status$.next('connected')
        callback(undefined, server.address)
      },
      (error: unknown) => {
        this._status$.next('disconnected')
        callback(error)
      },
    )
  }

  /** Ends gracefully: see above. Never rejects. */
  async close(): Promise<void> {
    this.#isLeaving = true
    const server = await this.#listening?.catch(() => undefined)
    if (server === undefined) return
    this.#listening = undefined
    this.#server = undefined
    for (const session of this.#sessions) session.leave()
    const isInTime = await this.#allHaveLeft(server)
    if (!isInTime) {
      const calls = [...this.#sessions].reduce((sum, { callCount }) => sum + callCount, 0)
      this.logger.warn(
        `close() cuts ${this.#sessions.size} connections off, ${calls} calls on them`,
      )
    }
    await server.shutdown({ deadlineMs: END_DEADLINE_MS, force: true }).catch(() => {})
    this._status$.next('disconnected')
  }

  /** Calls back for each event. */
  on<K extends keyof ServerEvents>(event: K, callback: ServerEvents[K]): void {
    this.#events.on(event, callback)
  }

  /** nodepoll's server, with its address and connections. */
  unwrap<T = Server>(): T {
    if (this.#server === undefined) throw new Error('There is no server before listen().')
    return this.#server as T
  }

  /** Whether none of the connections was left at the deadline. */
  async #allHaveLeft(server: Server): Promise<boolean> {
    const { closeDeadlineMs = CLOSE_DEADLINE_MS } = this.#options
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), closeDeadlineMs)
    })
    const left = server.close().then(async () => {
      // Those too whom the kernel had accepted meanwhile.
      while (this.#sessions.size > 0) {
        await Promise.all(Array.from(this.#sessions, ({ connection }) => connection.closed))
        await new Promise((resolve) => setImmediate(resolve))
      }
      return true
    })
    const isInTime = await Promise.race([left, late])
    clearTimeout(timer)
    return isInTime
  }

  #begin(connection: Connection): Session {
    const session = new Session(connection, this.#wire)
    this.#sessions.add(session)
    connection.addCloseCallback(() => void this.#sessions.delete(session))
    if (this.#isLeaving) session.leave()
    return session
  }

  #report(error: unknown, connection: Connection | undefined): void {
    const { code, message } = error as { code?: string; message?: string }
    this.logger.error(`${code ?? 'error'}: ${message ?? String(error)}`)
    if (this.#events.listenerCount('error') > 0) this.#events.emit('error', error, connection)
  }

  #receive(message: Message, session: Session): void | Promise<void> {
    if (message['cancel'] === true) return session.cancel(message['id'])
    const packet: unknown = this.deserializer.deserialize(message)
    if (packet instanceof Promise) {
      return packet.then((each: IncomingRequest) => this.#accept(each, session))
    }
    return this.#accept(packet as IncomingRequest, session)
  }

  #accept(packet: IncomingRequest, session: Session): void | Promise<void> {
    if (packet.pattern === undefined) throw malformed('a message has no pattern')
    const pattern = this.getPatternAsString(packet.pattern)
    const context = new NodepollContext([session.connection, pattern])
    if ((packet as { id?: unknown }).id === undefined) {
      this.#tell(pattern, packet, session, context)
      // An event cannot be refused, and so its peer has to wait.
      if (session.callCount >= this.#callsMax) return session.callEnds()
    } else {
      this.#ask(pattern, packet, session, context)
    }
    return session.taken
  }

  /** An event. */
  #tell(
    pattern: string,
    packet: IncomingRequest,
    session: Session,
    context: NodepollContext,
  ): void {
    const call = session.begin(undefined, () => {})
    this.handleEvent(pattern, packet, context)
      .catch((error: unknown) => this.#report(error, session.connection))
      .finally(() => call.end())
  }

  /** A request. */
  #ask(pattern: string, packet: IncomingRequest, session: Session, context: NodepollContext): void {
    const reason = this.#refusalOf(pattern, session)
    if (reason !== undefined) {
      return this.#reply(session, { id: packet.id, status: 'error', err: reason })
    }
    const handler = this.getHandlerByPattern(pattern)
    const call = session.begin(packet.id, () =>
      this.onProcessingEndHook?.(this.transportId, context),
    )
    const fail = (error: unknown): void => {
      this.#report(error, session.connection)
      this.#answer(session, call, { err: INTERNAL_ERROR, isDisposed: true })
    }
    const process = async (): Promise<void> => {
      try {
        const values = this.transformToObservable<unknown>(await handler?.(packet.data, context))
        // Its caller may have gone while it was made.
        if (call.isOver) return
        call.subscription = this.send(values, (answer) => this.#answer(session, call, answer))
      } catch (error) {
        fail(error)
      }
    }
    try {
      const begun: unknown = this.onProcessingStartHook(this.transportId, context, process)
      if (begun instanceof Promise) begun.catch(fail)
    } catch (error) {
      fail(error)
    }
  }

  /** Why a request is not even begun. */
  #refusalOf(pattern: string, session: Session): unknown {
    if (session.refusesCalls) {
      return refusal('ERR_NODEPOLL_NESTJS_SERVER_CLOSING', 'the server is closing')
    }
    if (session.callCount >= this.#callsMax) {
      return refusal('ERR_NODEPOLL_NESTJS_TOO_MANY_CALLS', `${this.#callsMax} calls are under way`)
    }
    return this.getHandlerByPattern(pattern) === null ? NO_MESSAGE_HANDLER : undefined
  }

  #answer(session: Session, call: Call, answer: WritePacket): void {
    if (call.isOver) return
    this.#reply(session, { ...answer, id: call.id })
    if (answer.isDisposed === true || answer.err !== undefined) call.end()
  }

  /** Never throws: Nest would not go on with its queue. */
  #reply(session: Session, reply: WritePacket & { id: unknown }): void {
    try {
      session.send(this.serializer.serialize(reply as OutgoingResponse))
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'ERR_NODEPOLL_WRITE_LIMIT') return session.connection.destroy(error as Error)
      if (!session.connection.isActive) return
      this.#replyUnsendable(session, reply.id, error)
    }
  }

  /** No JSON, or too large: its caller is told, rather than wait for ever. */
  #replyUnsendable(session: Session, id: unknown, cause: unknown): void {
    const message = `a reply cannot be sent: ${(cause as Error).message}`
    this.#report(
      new TransportError('ERR_NODEPOLL_NESTJS_UNSENDABLE', message, { cause }),
      session.connection,
    )
    const err = refusal('ERR_NODEPOLL_NESTJS_UNSENDABLE', message)
    session.send({ id, err, isDisposed: true })
    session.cancel(id)
  }
}

/** An error as callers get it, in the shape that Nest gives its own. */
function refusal(code: TransportError['code'], message: string): object {
  return { status: 'error', code, message }
}
