import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import { type BrokerOptions, ServiceBroker, type ServiceSchema } from 'moleculer'
import { NodepollTransporter, type NodepollTransporterOptions } from '@nodepoll/moleculer'
import type { ExecutionContext } from 'ava'
import { type InetAddress, serve } from 'nodepoll'

/** Long enough for two loaded cores: it finds stalls, not slowness. */
const DEADLINE_MS = 20_000

export interface Node {
  readonly broker: ServiceBroker
  readonly transporter: NodepollTransporter
  /** What the transporter has reported. */
  readonly errors: { code?: string; message: string }[]
}

/** Starts a node, which listens unless `options` say otherwise. */
export async function startNode(
  t: ExecutionContext,
  nodeID: string,
  options: NodepollTransporterOptions = {},
  services: ServiceSchema[] = [],
  brokerOptions: BrokerOptions = {},
): Promise<Node> {
  const listen = { host: '127.0.0.1', port: 0 }
  const transporter = new NodepollTransporter({ listen, retryDelayMs: 5, ...options })
  const errors: Node['errors'] = []
  const broker = new ServiceBroker({
    nodeID,
    transporter,
    logger: false,
    skipProcessEventRegistration: true,
    ...brokerOptions,
  })
  broker.localBus.on('$transporter.error', ({ error }: { error: Node['errors'][number] }) => {
    errors.push(error)
  })
  for (const service of services) broker.createService(service)
  t.teardown(() => broker.stop())
  await within(broker.start(), `the start of ${nodeID}`)
  return { broker, transporter, errors }
}

export function portOf({ transporter }: Node): number {
  return (transporter.address as InetAddress).port
}

/** A port on which nobody listens now. */
export async function freePort(): Promise<number> {
  const server = await serve({ host: '127.0.0.1' })
  await server.shutdown()
  return server.address.port
}

/** The outcome of a promise, or an error that says what did not come in time. */
export async function within<T>(promise: PromiseLike<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), DEADLINE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until a condition holds that nothing tells of. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + DEADLINE_MS
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** A socket of `node:net`, and a promise of all that comes until its end. */
export async function rawPeer(
  t: ExecutionContext,
  port: number,
): Promise<{ socket: Socket; all: Promise<Buffer> }> {
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => {})
  const all = once(socket, 'close').then(() => Buffer.concat(chunks))
  await within(once(socket, 'connect'), 'a connection')
  return { socket, all: within(all, 'the end of a connection') }
}

export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

/** What a handler can wait for, until its test says so. */
export function makeGate(): Gate {
  let resolve: (() => void) | undefined
  const opened = new Promise<void>((done) => (resolve = done))
  return { opened, open: () => resolve?.() }
}
