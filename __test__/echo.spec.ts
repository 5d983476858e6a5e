import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import type { Address } from 'nodepoll'

import { deferred, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, echoServer, startNetServer, temporaryPath } from './helpers/server.ts'
import { randomFrom, randomSize, Stream } from './helpers/stream.ts'

const MIB = 1 << 20

test.serial(
  '64 MiB in random sizes over 100 connections come back byte for byte, also to slow readers',
  async (t) => {
    await leakCheck(t)
    const server = await echoServer(t)
    const trips = Array.from({ length: 100 }, (_, index) =>
      roundTrip(t, server.address, {
        seed: index,
        bytes: (64 * MIB) / 100,
        isSlow: index % 2 === 0,
      }),
    )
    await within(Promise.all(trips), 'all echoes', 25_000)
    t.pass()
  },
)

test.serial('16 MiB come back byte for byte over 20 unix sockets', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t, { path: temporaryPath(t) })
  const trips = Array.from({ length: 20 }, (_, index) =>
    roundTrip(t, server.address, { seed: index, bytes: (16 * MIB) / 20, isSlow: index % 2 === 0 }),
  )
  await within(Promise.all(trips), 'all echoes', 25_000)
  t.pass()
})

test.serial('H117: four connections echo messages of 1 MiB byte for byte', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t)
  const talks = Array.from({ length: 4 }, async (_, seed) => {
    const peer = await Peer.connect(t, server.address)
    const sent = new Stream(seed)
    const received = new Stream(seed)
    for (let message = 0; message < 10; message++) {
      peer.socket.write(sent.take(MIB))
      t.true(received.matches(await peer.read(MIB)), `message ${message} of ${seed}`)
    }
  })
  await Promise.all(talks)
})

test.serial(
  '20 dialled connections get back byte for byte what a server of node:net echoes',
  async (t) => {
    await leakCheck(t)
    const { port } = await startNetServer(t, (socket) => void socket.pipe(socket))
    const trips = Array.from({ length: 20 }, async (_, seed) => {
      const connection = await dialTo(t, port)
      const random = randomFrom(seed)
      const sent = new Stream(seed)
      const received = new Stream(seed)
      const total = MIB
      const reading = (async () => {
        while (received.position < total) {
          const size = Math.min(randomSize(random, 200_000), total - received.position)
          const bytes = await connection.reader.next(size)
          if (!received.matches(bytes)) throw new Error(`a difference after ${received.position}`)
          connection.reader.release()
        }
      })()
      while (sent.position < total) {
        connection.writer.writeBinary(
          sent.take(Math.min(randomSize(random, 200_000), total - sent.position)),
        )
        if (!connection.writer.flush()) await connection.writer.drained()
      }
      await reading
      t.is(connection.bytesRead, total)
      t.is(connection.input.length, 0)
    })
    await within(Promise.all(trips), 'all echoes', 25_000)
  },
)

interface Trip {
  readonly seed: number
  readonly bytes: number
  readonly isSlow: boolean
}

async function roundTrip(
  t: ExecutionContext<unknown>,
  address: Address,
  { seed, bytes, isSlow }: Trip,
): Promise<void> {
  const { socket } = await Peer.connect(t, address)
  socket.removeAllListeners('data')
  const total = Math.floor(bytes)
  const random = randomFrom(seed)
  const sent = new Stream(seed)
  const received = new Stream(seed)
  const done = deferred()
  socket.on('data', (chunk: Buffer) => {
    if (!received.matches(chunk)) done.reject(new Error(`${seed} differs at ${received.position}`))
    if (received.position >= total) done.resolve()
    if (!isSlow) return
    socket.pause()
    setTimeout(() => socket.resume(), random() * 10)
  })
  socket.on('end', () =>
    done.reject(new Error(`${seed} ended at ${received.position} of ${total}`)),
  )
  while (sent.position < total) {
    const chunk = sent.take(Math.min(randomSize(random, 300_000), total - sent.position))
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  await done.promise
  socket.end()
  await once(socket, 'close')
}
