import test from 'ava'
import { type Connection, stats } from 'nodepoll'

import { eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { echoServer, openPair, startServer } from './helpers/server.ts'
import { randomFrom, Stream } from './helpers/stream.ts'

const WRITE_NODE_BYTES = 65_536

test.serial('H36: unread bytes of an ended connection hold no memory of the arena', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.end(new Stream(1).take(100_000))
  await within(connection.closed, 'the end')
  await eventually(
    () => stats().arenaBytesLeased <= WRITE_NODE_BYTES,
    () => `nodes to come back, ${stats().arenaBytesLeased} bytes are leased`,
    2_000,
  )
  t.true(new Stream(1).matches(connection.input.readBinary(100_000)))
})

test.serial(
  'H56: release() after the end is not repeated when the connection is collected',
  async (t) => {
    await leakCheck(t)
    const before = stats().staleLeases
    await Promise.all(Array.from({ length: 20 }, () => readAndReleaseAfterTheEnd()))
    // Neighbours whose nodes would be taken from them.
    const server = await echoServer(t)
    const peer = await Peer.connect(t, server.address)
    for (let round = 0; round < 50; round++) {
      collectGarbage()
      await turn()
      await peer.send(new Stream(round).take(10_000))
      t.true(new Stream(round).matches(await peer.read(10_000)))
    }
    t.is(stats().staleLeases, before)

    async function readAndReleaseAfterTheEnd(): Promise<void> {
      const { connection, peer: own } = await openPair(t)
      own.end(new Stream(2).take(100_000))
      const view = await connection.reader.next(50_000)
      t.true(new Stream(2).matches(view))
      await within(connection.closed, 'the end')
      await turn()
      connection.input.release()
      connection.input.skip(50_000)
      connection.input.release()
    }
  },
)

test.serial(
  'H56: release() twice, after close() and in a handler gives nothing back twice',
  async (t) => {
    await leakCheck(t)
    const before = stats().staleLeases
    const server = await startServer(t, {
      onRequest(connection) {
        const { input, writer } = connection
        writer.writeBinary(input.next(input.length)).flush()
        input.release()
        input.release()
      },
    })
    const peer = await Peer.connect(t, server.address)
    for (let round = 0; round < 20; round++) {
      await peer.send(new Stream(round).take(10_000))
      t.true(new Stream(round).matches(await peer.read(10_000)))
    }
    const { connection, peer: other } = await openPair(t)
    await other.send('abc')
    await connection.reader.skip(3)
    connection.reader.release()
    await connection.close()
    connection.reader.release()
    connection.input.release()
    t.is(stats().staleLeases, before)
  },
)

test.serial('H36: 1,000 connections that end in random states leave nothing behind', async (t) => {
  await leakCheck(t)
  const random = randomFrom(36)
  const act = (connection: Connection): void => {
    const { input, writer, reader } = connection
    const pick = Math.floor(random() * 8)
    if (pick === 0) input.next(Math.floor(random() * input.length))
    else if (pick === 1) writer.append(input)
    else if (pick === 2) writer.append(input).flush()
    else if (pick === 3) writer.malloc(5_000)
    else if (pick === 4) writer.writeString('x'.repeat(100_000)).flush()
    else if (pick === 5) void failureOf(reader.next(1 << 20))
    else if (pick === 6) connection.destroy()
    else void connection.close()
  }
  const server = await startServer(t, { onRequest: act })
  for (let round = 0; round < 20; round++) {
    const peers = await Promise.all(
      Array.from({ length: 50 }, () => Peer.connect(t, server.address)),
    )
    await Promise.all(
      peers.map(async ({ socket }) => {
        socket.write(new Stream(round).take(Math.floor(random() * 150_000) + 1))
        await turn()
        if (random() < 0.3) socket.resetAndDestroy()
        else if (random() < 0.5) socket.end()
        else setTimeout(() => socket.destroy(), 5)
      }),
    )
    await Promise.all(peers.map((peer) => within(peer.closed, 'an ended socket')))
  }
  t.pass()
})

test.serial(
  'H28: copies do not change after their bytes were released and used again',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const stream = new Stream(28)
    const kept: { readonly copy: Buffer | string; readonly at: number; readonly size: number }[] =
      []
    const random = randomFrom(28)
    for (let index = 0; index < 1_000; index++) {
      const size = Math.floor(random() * 5_000) + 1
      peer.socket.write(stream.peek(size))
      const { reader } = connection
      const copy =
        index % 2 === 0 ? await reader.readBinary(size) : await reader.readString(size, 'latin1')
      kept.push({ copy, at: stream.position, size })
      stream.skip(size)
      reader.release()
    }
    const server = await echoServer(t)
    const other = await Peer.connect(t, server.address)
    for (let round = 0; round < 10; round++) {
      await other.send(Buffer.alloc(1 << 20, 0xaa))
      await other.read(1 << 20)
    }
    for (const { copy, at, size } of kept) {
      const bytes = typeof copy === 'string' ? Buffer.from(copy, 'latin1') : copy
      const expected = new Stream(28)
      expected.skip(at)
      if (!expected.take(size).equals(bytes))
        t.fail(`the copy of the bytes from ${at} on has changed`)
    }
    t.is(kept.length, 1_000)
  },
)
