import test from 'ava'
import { type Connection, LinkBuffer, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { eventually, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair, type Pair } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const KIB = 1 << 10
const MIB = 1 << 20
const REFERENCE_BYTES_MIN = 16 * KIB

/** Has `n` bytes arrive and looks at them; that they lie in one piece may cost a copy. */
async function viewOf({ connection, peer }: Pair, bytes: Buffer): Promise<Buffer> {
  const [view] = await within(
    Promise.all([connection.reader.next(bytes.length), peer.send(bytes)]),
    'the bytes',
  )
  return view
}

/** What a call copies. */
function copiedBy(call: () => unknown): number {
  const before = stats().bytesCopied
  call()
  return stats().bytesCopied - before
}

/** Has so much pending that nothing of what is written next can leave. */
function block({ writer }: Connection): number {
  writer.writeBinary(Buffer.alloc(16 * MIB, 'x')).flush()
  return 16 * MIB
}

test.serial('H90: a large view of the own input is sent from where it is', async (t) => {
  await leakCheck(t)
  const pair = await openPair(t)
  const { connection, peer } = pair
  const { input, writer } = connection
  const source = new Stream(90)
  for (const size of [REFERENCE_BYTES_MIN, 64 * KIB, 300 * KIB, MIB]) {
    const sent = source.take(size)
    const view = await viewOf(pair, sent)
    const copied = copiedBy(() => {
      writer.writeUInt32BE(1).writeBinary(view).writeUInt32BE(2)
      writer.writeBinary(view.subarray(1, REFERENCE_BYTES_MIN + 1 < size ? -1 : undefined))
    })
    input.release()
    writer.flush()
    t.is((await peer.read(4)).readUInt32BE(), 1)
    t.true((await peer.read(size)).equals(sent))
    t.is((await peer.read(4)).readUInt32BE(), 2)
    if (size === REFERENCE_BYTES_MIN) {
      t.is(copied, size - 1, 'one byte less than 16 KiB is copied')
      t.true((await peer.read(size - 1)).equals(sent.subarray(1)))
    } else {
      t.is(copied, 0)
      t.true((await peer.read(size - 2)).equals(sent.subarray(1, -1)))
    }
  }
})

test.serial('H90: what is released before it is sent is sent as it was', async (t) => {
  await leakCheck(t)
  const pair = await openPair(t, { readBufferMax: 64 * MIB })
  const { connection, peer } = pair
  const { input, reader, writer } = connection
  const source = new Stream(91)
  peer.socket.pause()
  const before = block(connection)
  const sent = Array.from({ length: 20 }, () => source.take(100 * KIB))
  for (const bytes of sent) {
    const view = await viewOf(pair, bytes)
    t.is(
      copiedBy(() => writer.writeBinary(view)),
      0,
    )
    writer.flush()
    input.release()
  }
  // Other bytes come where there is room.
  for (let round = 0; round < 20; round++) {
    await Promise.all([reader.skip(MIB), peer.send(Buffer.alloc(MIB, 'y'))])
    input.release()
  }
  peer.socket.resume()
  await peer.read(before)
  for (const bytes of sent) t.true((await peer.read(bytes.length)).equals(bytes))
})

test.serial('H31: mallocAck() cuts bytes that are sent from where they are', async (t) => {
  await leakCheck(t)
  const pair = await openPair(t)
  const { connection, peer } = pair
  const { input, writer } = connection
  const sent = new Stream(92).take(64 * KIB)
  const view = await viewOf(pair, sent)
  writer.writeBinary(view).mallocAck(20_000)
  writer.writeString('tail').writeDirect(Buffer.from('in front'), 20_004)
  t.true(view.equals(sent), 'the input is as it was')
  writer.flush()
  input.release()
  t.is((await peer.read(8)).toString(), 'in front')
  t.true((await peer.read(20_000)).equals(sent.subarray(0, 20_000)))
  t.is((await peer.read(4)).toString(), 'tail')
})

test.serial('H90: views of other buffers are copied, and their memory goes its way', async (t) => {
  await leakCheck(t)
  const [one, other] = await Promise.all([openPair(t), openPair(t)])
  const sent = new Stream(93).take(64 * KIB)
  const view = await viewOf(one, sent)
  const own = new LinkBuffer()
  own.writeBinary(sent).flush()
  const slice = own.slice(32 * KIB)
  const foreign = [view, own.next(32 * KIB), slice.next(32 * KIB), Buffer.from(sent)]
  for (const bytes of foreign) {
    t.is(
      copiedBy(() => other.connection.writer.writeBinary(bytes)),
      bytes.length,
    )
    bytes.fill(0)
  }
  one.connection.input.release()
  own.close()
  slice.close()
  other.connection.writer.flush()
  t.true((await other.peer.read(64 * KIB)).equals(sent))
  t.true((await other.peer.read(32 * KIB)).equals(sent.subarray(32 * KIB)))
  t.true((await other.peer.read(32 * KIB)).equals(sent.subarray(0, 32 * KIB)))
  t.true((await other.peer.read(64 * KIB)).equals(sent))
})

test.serial('H30: many bytes of several nodes are put in one piece once', async (t) => {
  await leakCheck(t)
  const pair = await openPair(t)
  const { connection, peer } = pair
  const { input, writer } = connection
  const sent = new Stream(94).take(MIB)
  await peer.send(sent)
  await eventually(() => input.length === MIB, 'the bytes')
  t.true([...input.chunks()].length > 2, 'they lie in several nodes')
  input.skip(10)
  const early = input.peek(50 * KIB, 60 * KIB)
  const all = input.peek(600 * KIB)
  t.true(all.equals(sent.subarray(10, 10 + 600 * KIB)))
  const copied = copiedBy(() => {
    for (let round = 0; round < 1000; round++) input.peek(600 * KIB - round, round)
    writer.writeBinary(input.next(600 * KIB))
  })
  t.is(copied, 0, 'they lie in one node from then on')
  t.true(early.equals(sent.subarray(10 + 60 * KIB, 10 + 110 * KIB)), 'a view made before')
  t.true(input.readBinary(MIB - 10 - 600 * KIB).equals(sent.subarray(10 + 600 * KIB)))
  input.release()
  writer.flush()
  t.true((await peer.read(600 * KIB)).equals(sent.subarray(10, 10 + 600 * KIB)))
})

test.serial('H90: each view keeps the node that it lies in', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { input, reader, writer } = connection
  peer.socket.pause()
  const before = block(connection)
  const sent = new Stream(95).take(MIB)
  await peer.send(sent)
  await eventually(() => input.length === MIB, 'the bytes')
  const last = [...input.chunks()].at(-1) as Buffer
  t.true(last.length < MIB / 2 && last.length >= REFERENCE_BYTES_MIN)
  input.skip(MIB)
  t.is(
    copiedBy(() => writer.writeBinary(last)),
    0,
  )
  writer.flush()
  input.release()
  for (let round = 0; round < 8; round++) {
    await Promise.all([reader.skip(MIB), peer.send(Buffer.alloc(MIB, 'y'))])
    input.release()
  }
  peer.socket.resume()
  await peer.read(before)
  t.true((await peer.read(last.length)).equals(sent.subarray(-last.length)))
})

test.serial('H83: what goes from one poller to another is not copied', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `
    import { setTimeout as later } from 'node:timers/promises'
    import { connect, createServer } from 'node:net'
    import { once } from 'node:events'
    import { configure, dial, serve, stats } from 'nodepoll'
    configure({ host: 'thread', pollers: 3 })
    // What is sent to it comes back from another connection: the next one, in a circle.
    const ring = []
    const server = await serve({
      host: '127.0.0.1',
      onConnect: (connection) => void ring.push(connection),
      onRequest(connection) {
        const { input } = connection
        const to = ring[(ring.indexOf(connection) + 1) % ring.length]
        const slice = input.slice(input.length >> 1)
        to.writer.append(slice).append(input).flush()
        slice.close()
      },
    })
    const peers = []
    for (let n = 0; n < 6; n++) {
      const peer = connect(server.address.port, '127.0.0.1')
      await once(peer, 'connect')
      peers.push(peer)
      while (ring.length < peers.length) await later(1)
    }
    const before = stats().bytesCopied
    const total = 4 << 20
    await Promise.all(peers.map(async (peer, n) => {
      peer.write(Buffer.alloc(total, n))
      let bytes = 0
      for await (const chunk of peer.iterator({ destroyOnReturn: false })) {
        const from = (n + peers.length - 1) % peers.length
        if (chunk.some((byte) => byte !== from)) throw new Error('foreign bytes')
        bytes += chunk.length
        if (bytes === total) break
      }
    }))
    console.log(stats().pollers, stats().bytesCopied - before)
    for (const peer of peers) peer.destroy()
    await server.shutdown({ force: true, deadlineMs: 1000 })
    `,
  )
  t.is(stdout.trim(), '3 0', stderr)
  t.is(code, 0, stderr)
})
