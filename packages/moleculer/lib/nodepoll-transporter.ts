import {
  type Discoverers,
  type GenericObject,
  type LoggerInstance,
  type Packet,
  type ServiceBroker,
  type Transit,
  Transporters,
} from 'moleculer'
import {
  type CloseReason,
  type Connection,
  type ConnectionOptions,
  dial,
  isNodepollError,
  type OnRequest,
  serve,
  type Server,
} from 'nodepoll'

import { Dialer, type DialerHost } from './dialer.ts'
import { notConnected, TransporterError } from './errors.ts'
import {
  DIAL_TIMEOUT_MS,
  END_DEADLINE_MS,
  HELLO_TIMEOUT_MS,
  KEEP_ALIVE,
  PACKET_MAX,
  RETRY_DELAY_MAX_MS,
  RETRY_DELAY_MS,
} from './limits.ts'
import { Link, Routes } from './link.ts'
import {
  type NodeAddress,
  type NodepollTransporterOptions,
  parseAddress,
  treatmentOf,
} from './options.ts'
import { type Hello, makeProtocol, type Protocol } from './protocol.ts'

/** What the packets of a broker have that Moleculer's types leave out. */
type SentPacket = Packet & { readonly type: string; readonly target?: string | null }

/**
 * A transporter of Moleculer: nodes talk to each other directly, over nodepoll.
 *
 * While two nodes are connected, every packet arrives, in order. When a connection breaks, calls
 * that were under way between its nodes are rejected with Moleculer's `RequestRejectedError`, which
 * may be retried; it is then dialled anew, and the nodes discover each other again.
 *
 * @example
 * ```ts
 * import { ServiceBroker } from 'moleculer'
 * import { NodepollTransporter } from '@nodepoll/moleculer'
 *
 * const broker = new ServiceBroker({
 *   nodeID: 'node-1',
 *   transporter: new NodepollTransporter({
 *     listen: { host: '127.0.0.1', port: 6000 },
 *     nodes: ['127.0.0.1:6001'],
 *   }),
 * })
 * await broker.start()
 * ```
 */
export class NodepollTransporter extends Transporters.Base {
  declare readonly broker: ServiceBroker
  declare readonly transit: Transit
  declare readonly logger: LoggerInstance
  declare readonly nodeID: string
  declare readonly prefix: string
  /** Between `connect()` and `disconnect()`. */
  declare connected: boolean
  readonly #options: NodepollTransporterOptions
  readonly #treatment: ConnectionOptions
  readonly #protocol: Protocol
  readonly #onFrames: OnRequest<Link>
  readonly #addresses: readonly NodeAddress[]
  readonly #dialers: Map<NodeAddress, Dialer> = new Map()
  readonly #links: Map<Connection, Link> = new Map()
  readonly #routes: Routes = new Routes()
  readonly #subscribed: Set<string> = new Set()
  #server: Server | undefined

  constructor(options: NodepollTransporterOptions = {}) {
    super(options)
    this.#options = options
    this.#treatment = { keepAlive: KEEP_ALIVE, ...treatmentOf(options), autoRelease: true }
    this.#addresses = (options.nodes ?? []).map(parseAddress)
    this.#protocol = makeProtocol(options.packetMax ?? PACKET_MAX)
    this.#onFrames = this.#protocol.onFrames<Link>(
      (hello, link) => this.#greeted(hello, link),
      (type, data, link) => this.#received(type, data, link),
    )
  }

  /** Where it listens, with the port that was picked; `undefined` if it does not. */
  get address(): Server['address'] | undefined {
    return this.#server?.address
  }

  /** Listens, dials each node once, and then tells the broker. Rejects if it cannot listen. */
  override async connect(): Promise<void> {
    const { listen } = this.#options
    if (listen !== undefined) {
      this.#server ??= await serve<Link>({
        ...this.#treatment,
        ...listen,
        onConnect: (connection) => this.#linkOf(connection),
        onRequest: this.#onFrames,
        onError: (error) => this.#report(error),
      })
    }
    const host = this.#dialerHost()
    for (const address of this.#addresses) {
      if (!this.#dialers.has(address)) this.#dialers.set(address, new Dialer(address, host))
    }
    // So that those that are up are discovered before the broker has started.
    await Promise.all(Array.from(this.#dialers.values(), ({ attempted }) => attempted))
    await this.onConnected()
  }

  /** Ends all connections; what was sent before arrives. */
  override async disconnect(): Promise<void> {
    this.connected = false
    for (const dialer of this.#dialers.values()) dialer.stop()
    this.#dialers.clear()
    const server = this.#server
    this.#server = undefined
    await server?.close()
    const connections = [...this.#links.keys()]
    const late = setTimeout(() => {
      for (const connection of connections) connection.destroy()
    }, END_DEADLINE_MS)
    await Promise.all(connections.map((connection) => connection.close()))
    clearTimeout(late)
    // There may be some that the kernel had accepted meanwhile.
    await server?.shutdown({ deadlineMs: END_DEADLINE_MS, force: true }).catch(() => {})
    this.#subscribed.clear()
  }

  /** From now on such packets are for the broker. Whom they are for, their sender decides. */
  override async subscribe(command: string): Promise<void> {
    this.#subscribed.add(command)
  }

  /**
   * Sends a packet to its node, or to all if it names none. Resolves when the node takes what is
   * sent, so that a stream is no faster than its reader. Rejects if there is no connection.
   */
  override async send(_topic: string, data: Buffer, meta: GenericObject): Promise<void> {
    const { type, target } = meta['packet'] as SentPacket
    if (target === this.nodeID) return this.#deliver(type, data)
    if (target !== null && target !== undefined) return this.#sendTo(target, type, data)
    const { nodeIDs } = this.#routes
    const sent = nodeIDs.map((nodeID) =>
      this.#sendTo(nodeID, type, data).catch((error: unknown) => this.#report(error)),
    )
    await Promise.all(sent)
  }

  async #sendTo(nodeID: string, type: string, data: Uint8Array): Promise<void> {
    const link = this.#routes.to(nodeID)
    if (link === undefined) throw notConnected(nodeID)
    const { writer } = link.connection
    this.#protocol.write(writer, type, data)
    try {
      if (writer.flush()) return
    } catch (error) {
      if (isNodepollError(error, 'ERR_NODEPOLL_WRITE_LIMIT')) writer.mallocAck(0)
      throw error
    }
    await writer.drained()
  }

  #dialerHost(): DialerHost {
    const { dialTimeoutMs: timeoutMs = DIAL_TIMEOUT_MS } = this.#options
    const { retryDelayMs = RETRY_DELAY_MS, retryDelayMaxMs = RETRY_DELAY_MAX_MS } = this.#options
    return {
      retryDelayMs,
      retryDelayMaxMs,
      dial: async (address, signal) => {
        const connection = await dial({
          ...this.#treatment,
          ...address,
          timeoutMs,
          signal,
          onRequest: (each) => this.#onFrames(each, this.#linkOf(each, address)),
          onError: (error) => this.#report(error),
        })
        this.#linkOf(connection, address)
        return connection
      },
      failed: (address, error, delayMs) => {
        this.logger.debug(`No connection to ${address}, next attempt in ${delayMs} ms.`, error)
      },
    }
  }

  /** The first call for a connection introduces this node. */
  #linkOf(connection: Connection, dialled?: NodeAddress): Link {
    const known = this.#links.get(connection)
    if (known !== undefined) return known
    const link = new Link(connection, dialled)
    this.#links.set(connection, link)
    connection.addCloseCallback((_, reason) => this.#ended(link, reason))
    if (!connection.isActive) return link
    connection.setIdleTimeout(HELLO_TIMEOUT_MS)
    const { nodeID, prefix } = this
    const { instanceID } = this.broker
    this.#protocol.writeHello(connection.writer, { nodeID, instanceID, prefix })
    connection.writer.flush()
    return link
  }

  /** A node has introduced itself. */
  #greeted(hello: Hello, link: Link): void {
    if (link.hello !== undefined) return
    const { nodeID, instanceID, prefix } = hello
    if (prefix !== this.prefix) {
      const what = `node '${nodeID}' has the namespace '${prefix}', and not '${this.prefix}'`
      throw new TransporterError('ERR_NODEPOLL_MOLECULER_NAMESPACE', what)
    }
    const dialer = link.dialled && this.#dialers.get(link.dialled)
    if (nodeID === this.nodeID) {
      if (instanceID !== this.broker.instanceID) {
        const what = `there is another node '${nodeID}'`
        throw new TransporterError('ERR_NODEPOLL_MOLECULER_NODE_ID_TAKEN', what)
      }
      // Our own address is among those of all nodes.
      dialer?.stop()
      void link.connection.close()
      return
    }
    this.#endPredecessors(nodeID, instanceID)
    link.hello = hello
    link.connection.setIdleTimeout(this.#options.idleTimeoutMs ?? 0)
    dialer?.succeeded()
    // Before `connect()` is done there is nothing to be told, and afterwards it asks all.
    if (this.#routes.add(nodeID, link) && this.connected) void this.transit.discoverNode(nodeID)
  }

  /** Ends connections to a node that has been started anew, and of which no end has been seen. */
  #endPredecessors(nodeID: string, instanceID: string): void {
    for (const link of this.#routes.of(nodeID)) {
      if (link.hello?.instanceID === instanceID) continue
      this.#routes.delete(nodeID, link)
      const what = `node '${nodeID}' was started anew`
      link.connection.destroy(new TransporterError('ERR_NODEPOLL_MOLECULER_REPLACED', what))
      this.#lost(nodeID)
    }
  }

  #received(type: string, data: Buffer, { hello }: Link): void {
    if (hello === undefined) {
      const what = `a peer has sent '${type}' before it has introduced itself`
      throw new TransporterError('ERR_NODEPOLL_MOLECULER_NO_HELLO', what)
    }
    if (this.#subscribed.has(type)) this.#deliver(type, data)
  }

  /** Hands a packet to the broker, which handles it in its own time. */
  #deliver(type: string, data: Buffer): void {
    Promise.resolve(this.receive(type, data)).catch((error: unknown) => this.#report(error))
  }

  #ended(link: Link, { by, error }: CloseReason): void {
    this.#links.delete(link.connection)
    const { hello } = link
    if (hello === undefined) {
      if (by !== 'timeout') return
      const what = 'a peer has not introduced itself in time'
      return this.#report(new TransporterError('ERR_NODEPOLL_MOLECULER_NO_HELLO', what))
    }
    if (!this.#routes.delete(hello.nodeID, link) || !this.connected) return
    this.logger.debug(`The connection to node '${hello.nodeID}' was ended by ${by}.`, error)
    this.#lost(hello.nodeID)
  }

  /** Packets to or from a node may be lost: its callers are told, and it is discovered anew. */
  #lost(nodeID: string): void {
    const { discoverer } = this.broker.registry as unknown as { discoverer: Discoverers.Base }
    // Does nothing for a node that has taken its leave.
    discoverer.remoteNodeDisconnected(nodeID, true)
    if (this.#routes.to(nodeID) !== undefined) void this.transit.discoverNode(nodeID)
  }

  /** Something has gone wrong that concerns one connection, and not the broker. */
  #report(error: unknown): void {
    const { code, message } = error as { code?: string; message?: string }
    this.logger.warn(`${code ?? 'error'}: ${message ?? String(error)}`)
    const type = 'clientError'
    void this.broker.broadcastLocal('$transporter.error', { error, module: 'transporter', type })
  }
}
