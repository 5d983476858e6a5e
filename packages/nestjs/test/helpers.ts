import { connect, type Socket } from 'node:net'
import { once } from 'node:events'

import type { LoggerService, Type } from '@nestjs/common'
import type { INestMicroservice } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  NodepollClient,
  type NodepollClientOptions,
  NodepollServer,
  type NodepollServerOptions,
} from '@nodepoll/nestjs'
import type { ExecutionContext } from 'ava'
import type { InetAddress, Server } from 'nodepoll'

/** Long enough for two loaded cores: it finds stalls, not slowness. */
const DEADLINE_MS = 20_000

export interface Service {
  readonly app: INestMicroservice
  readonly server: NodepollServer
  readonly port: number
  /** What the server has reported. */
  readonly errors: { code?: string; message: string }[]
}

/** Says nothing: what is reported is looked at where it matters. */
export const silent: LoggerService = { log() {}, error() {}, warn() {} }

export async function startService(
  t: ExecutionContext,
  root: Type,
  options: NodepollServerOptions = {},
  prepare: (app: INestMicroservice) => void = () => {},
): Promise<Service> {
  const server = new NodepollServer({ host: '127.0.0.1', port: 0, ...options })
  const errors: Service['errors'] = []
  server.on('error', (error) => errors.push(error as Error))
  const app = await NestFactory.createMicroservice(root, { strategy: server, logger: silent })
  prepare(app)
  await app.listen()
  t.teardown(() => app.close())
  const { port } = server.unwrap<Server<InetAddress>>().address
  return { app, server, port, errors }
}

export function makeClient(
  t: ExecutionContext,
  port: number,
  options: NodepollClientOptions = {},
): NodepollClient {
  const client = new NodepollClient({ host: '127.0.0.1', port, ...options })
  t.teardown(() => client.close())
  return client
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
