import type { ExecutionContext } from 'ava'
import { isNodepollError } from 'nodepoll'
import {
  connectRpc,
  type RpcClient,
  type RpcClientOptions,
  type RpcServer,
  type RpcServerOptions,
  serveRpc,
} from 'nodepoll/rpc'

import { within } from './deadline.ts'
import { Peer } from './peer.ts'
import { portOf } from './server.ts'

type Test = ExecutionContext<unknown>

export const PREFACE_BYTES = 24

export const KINDS = {
  call: 1,
  reply: 2,
  failure: 3,
  cancel: 4,
  ping: 5,
  pong: 6,
  goAway: 7,
} as const

/** A server on a free port of the loopback; ended by force after the test. */
export async function startRpc(t: Test, options: RpcServerOptions = {}): Promise<RpcServer> {
  const where = options.path === undefined ? { host: '127.0.0.1', port: 0 } : {}
  const server = await serveRpc({ ...where, ...options })
  t.teardown(() => endRpc(server))
  return server
}

export async function endRpc(server: RpcServer): Promise<void> {
  try {
    await server.shutdown({ deadlineMs: 0, force: true })
  } catch (error) {
    if (!isNodepollError(error, 'ERR_NODEPOLL_DEADLINE')) throw error
  }
  await within(server.finished, 'the end of a server')
}

/** A client of servers of this process, or of ports; ended after the test. */
export function clientOf(
  t: Test,
  targets: RpcServer | number | readonly (RpcServer | number)[],
  options: RpcClientOptions = {},
): RpcClient {
  const all = Array.isArray(targets) ? targets : [targets]
  const ports = all.map((target: RpcServer | number) =>
    typeof target === 'number' ? target : portOf(target.address),
  )
  const client = connectRpc({
    targets: ports.map((port) => ({ host: '127.0.0.1', port })),
    ...options,
  })
  t.teardown(() => client.destroy())
  return client
}

interface PrefaceFields {
  readonly magic?: string
  readonly version?: number
  readonly frameMax?: number
  readonly concurrency?: number
  readonly codec?: string
}

/** What an end says first. */
export function preface({
  magic = 'nprc',
  version = 1,
  frameMax = 1 << 20,
  concurrency = 0,
  codec = 'json',
}: PrefaceFields = {}): Buffer {
  const bytes = Buffer.alloc(PREFACE_BYTES)
  bytes.write(magic, 'latin1')
  bytes[4] = version
  bytes.writeUInt32BE(frameMax, 8)
  bytes.writeUInt32BE(concurrency, 12)
  bytes.write(codec, 16, 'latin1')
  return bytes
}

/** A frame, made here by its description and not by the library. */
export function frame(kind: number, id: number, rest: Uint8Array | string = '', name = 0): Buffer {
  const body = Buffer.from(rest)
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(8 + body.length)
  bytes[4] = kind
  bytes.writeUInt16BE(name, 6)
  bytes.writeUInt32BE(id, 8)
  return Buffer.concat([bytes, body])
}

export function callFrame(id: number, method: string, payload: string, timeoutMs = 0): Buffer {
  const timeout = Buffer.alloc(4)
  timeout.writeUInt32BE(timeoutMs)
  const rest = Buffer.concat([timeout, Buffer.from(method), Buffer.from(payload)])
  return frame(KINDS.call, id, rest, method.length)
}

/** A frame as it was read. */
export interface Frame {
  readonly kind: number
  readonly id: number
  readonly name: string
  readonly rest: string
}

/** Reads a frame at a peer that is no library. */
export async function readFrame(peer: Peer): Promise<Frame> {
  const length = (await peer.read(4)).readUInt32BE()
  const bytes = await peer.read(length)
  const end = 8 + bytes.readUInt16BE(2)
  return {
    kind: bytes[0] as number,
    id: bytes.readUInt32BE(4),
    name: bytes.toString('latin1', 8, end),
    rest: bytes.toString('utf8', end),
  }
}

/** A client that is no library, which has said what it speaks and heard what the server does. */
export async function rawClient(t: Test, server: RpcServer): Promise<Peer> {
  const peer = await Peer.connect(t, server.address)
  await peer.send(preface())
  await peer.read(PREFACE_BYTES)
  return peer
}
