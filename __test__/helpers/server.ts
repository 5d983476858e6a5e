import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'
import {
  type Address,
  type Connection,
  dial,
  type DialOptions,
  type EventLoopOptions,
  isNodepollError,
  type ListenOptions,
  serve,
  type Server,
} from 'nodepoll'

import { deferred, within } from './deadline.ts'
import { Peer, type PeerOptions } from './peer.ts'

type Test = ExecutionContext<unknown>

/** A server on a free port of the loopback, or on `path`; ended by force after the test. */
export async function startServer<C = undefined>(
  t: Test,
  options: ListenOptions & EventLoopOptions<C> = {},
): Promise<Server> {
  const where = options.path === undefined ? { host: '127.0.0.1', port: 0 } : {}
  const server = await serve<C>({ ...where, ...options })
  t.teardown(() => endServer(server))
  return server
}

async function endServer(server: Server): Promise<void> {
  try {
    await server.shutdown({ deadlineMs: 0, force: true })
  } catch (error) {
    if (!isNodepollError(error, 'ERR_NODEPOLL_DEADLINE')) throw error
  }
  await within(server.finished, 'the end of a server')
}

export function echoServer(t: Test, options: ListenOptions = {}): Promise<Server> {
  return startServer(t, {
    ...options,
    onRequest({ input, writer }) {
      writer.append(input).flush()
    },
  })
}

/** An accepted connection and the socket at its other end. */
export interface Pair {
  readonly connection: Connection
  readonly peer: Peer
  readonly server: Server
}

export async function openPair<C = undefined>(
  t: Test,
  options: ListenOptions & EventLoopOptions<C> = {},
  peerOptions: PeerOptions = {},
): Promise<Pair> {
  const opened = deferred<Connection>()
  // Let go of as soon as it is called, so that no handler holds the connection after the test.
  let open = opened.resolve
  const server = await startServer<C>(t, {
    ...options,
    onConnect(connection, context) {
      open(connection)
      open = () => {}
      return options.onConnect?.(connection, context)
    },
  })
  const peer = await Peer.connect(t, server.address, peerOptions)
  return { connection: await within(opened.promise, 'an accepted connection'), peer, server }
}

/** A server of node:net; its sockets end with it. */
export async function startNetServer(
  t: Test,
  onSocket: (socket: Socket) => void,
): Promise<{ readonly server: NetServer; readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { server, port: (server.address() as AddressInfo).port }
}

/** Dials; the connection is destroyed when the test ends. */
export async function dialTo(
  t: Test,
  target: Address | number,
  options: Omit<DialOptions, 'host' | 'port' | 'path'> = {},
): Promise<Connection> {
  const connection = await within(dial({ ...whereOf(target), ...options }), 'a dialled connection')
  t.teardown(async () => {
    connection.destroy()
    await connection.closed
  })
  return connection
}

export function whereOf(
  target: Address | number,
): { host: string; port: number } | { path: string } {
  if (typeof target === 'number') return { host: '127.0.0.1', port: target }
  if (target.family === 'unix') return { path: target.path }
  return { host: target.address, port: target.port }
}

export function portOf(address: Address): number {
  if (address.family === 'unix') throw new TypeError('a unix socket has no port')
  return address.port
}

/** A path that nothing else uses, in a folder that goes with the test. */
export function temporaryPath(t: Test, name = 'socket'): string {
  const folder = mkdtempSync(join(tmpdir(), 'nodepoll-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, name)
}
