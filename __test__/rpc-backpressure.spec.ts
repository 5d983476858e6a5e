import type { Socket } from 'node:net'

import test from 'ava'
import { stats } from 'nodepoll'
import { bytesCodec, jsonCodec } from 'nodepoll/rpc'

import { eventually, settled, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import {
  callFrame,
  clientOf,
  KINDS,
  preface,
  PREFACE_BYTES,
  readFrame,
  startRpc,
} from './helpers/rpc.ts'
import { startNetServer } from './helpers/server.ts'

/** What the kernel may take on the way between two sockets, and more. */
const KERNEL_BYTES = 24 << 20

test.serial(
  'calls that a server has no room for wait at the client, and can be cancelled there',
  async (t) => {
    await leakCheck(t)
    const under = { now: 0, most: 0, all: 0 }
    const open: (() => void)[] = []
    const server = await startRpc(t, {
      concurrencyMax: 3,
      async handler() {
        under.all++
        under.most = Math.max(under.most, ++under.now)
        await new Promise<void>((resolve) => open.push(resolve))
        under.now--
      },
    })
    const client = clientOf(t, server, { connections: 2 })
    const aborter = new AbortController()
    const calls = Array.from({ length: 30 }, (_, index) =>
      client.call('m', index, index % 2 === 1 ? { signal: aborter.signal } : {}),
    )
    const outcomes = Promise.allSettled(calls)
    await eventually(() => under.now === 6, 'as many calls as there may be')
    aborter.abort()
    const done = eventually(() => {
      open.splice(0).forEach((end) => end())
      return client.callCount === 0
    }, 'the ends of all calls')
    await done
    const fulfilled = (await outcomes).filter(({ status }) => status === 'fulfilled')
    t.is(fulfilled.length, 15)
    t.is(under.most, 6)
    t.true(under.all <= 15 + 6, `${under.all} were begun`)
  },
)

test.serial(
  'a peer that sends more calls than it may is read no further until there is room',
  async (t) => {
    t.timeout(60_000)
    await leakCheck(t)
    const gates: (() => void)[] = []
    const server = await startRpc(t, {
      codec: bytesCodec(),
      concurrencyMax: 4,
      handler: () => new Promise<void>((resolve) => gates.push(resolve)),
    })
    const peer = await Peer.connect(t, server.address)
    await peer.send(preface({ codec: 'bytes' }))
    await peer.read(PREFACE_BYTES)
    const count = 1000
    const one = 'x'.repeat(64 << 10)
    for (let id = 0; id < count; id++) peer.socket.write(callFrame(id, 'm', one))
    const unsent = await settled(() => peer.socket.writableLength)
    t.is(gates.length, 4)
    t.true(unsent > count * one.length - KERNEL_BYTES, `${unsent} bytes are left at the peer`)
    let ended = 0
    await eventually(() => {
      ended += gates.length
      gates.splice(0).forEach((end) => end())
      return ended === count
    }, 'the ends of all calls')
    const replies = new Set<number>()
    for (let index = 0; index < count; index++) replies.add((await readFrame(peer)).id)
    t.is(replies.size, count)
  },
)

test.serial(
  'a peer that does not read its replies has no more calls begun, and loses none',
  async (t) => {
    t.timeout(60_000)
    await leakCheck(t)
    const reply = 'y'.repeat(64 << 10)
    let begun = 0
    const server = await startRpc(t, {
      codec: jsonCodec(),
      writeBufferMax: 1 << 20,
      handler: () => {
        begun++
        return reply
      },
    })
    const peer = await Peer.connect(t, server.address)
    await peer.send(preface())
    await peer.read(PREFACE_BYTES)
    peer.socket.pause()
    const count = 2000
    const calls = Array.from({ length: count }, (_, id) => callFrame(id, 'm', '0'))
    await peer.send(Buffer.concat(calls))
    await settled(() => begun)
    t.true(begun > 10 && begun * reply.length < KERNEL_BYTES, `${begun} calls were begun`)
    peer.socket.resume()
    for (let id = 0; id < count; id++) {
      const { kind, id: answered } = await readFrame(peer)
      if (kind !== KINDS.reply || answered !== id) t.fail(`${answered} in the place of ${id}`)
    }
    t.is(begun, count)
  },
)

test.serial(
  'a server that does not read makes calls wait at the client, which holds no more than they',
  async (t) => {
    t.timeout(60_000)
    await leakCheck(t)
    const codec = bytesCodec()
    const sockets: Socket[] = []
    const { port } = await startNetServer(t, (socket) => {
      sockets.push(socket)
      socket.once('data', () => {
        socket.write(preface({ codec: 'bytes', concurrency: 60_000 }))
        socket.pause()
      })
    })
    const client = clientOf(t, port, { codec, connections: 1, writeBufferMax: 1 << 20 })
    const request = Buffer.alloc(64 << 10)
    const calls = Array.from({ length: 2000 }, () => client.call('m', request).catch(() => {}))
    await eventually(() => client.connectionCount === 1, 'the connection')
    // All of them would be 128 MiB.
    const written = await settled(() => stats().bytesWritten)
    t.true(written > 1 << 20, `${written} bytes were sent`)
    t.true(stats().arenaBytesLeased < 8 << 20, `${stats().arenaBytesLeased} bytes are held`)
    t.is(client.callCount, 2000)
    sockets[0]?.destroy()
    await eventually(() => client.callCount < 2000, 'the failure of those that were sent')
    client.destroy()
    await within(Promise.all(calls), 'the ends of all calls')
  },
)
