import test from 'ava'
import * as fc from 'fast-check'
import type { Connection } from 'nodepoll'

import { eventually, failureOf, settled, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, openPair, startNetServer, startServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const MIB = 1 << 20

const sizes = fc.oneof(
  fc.constantFrom(0, 1, 4_096, 4_097, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, MIB + 1),
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 100_000 }),
)

const alphabets = { ascii: 'plain', latin: 'grüße', wide: '漢字', pairs: '😀🚀', lone: '\ud83d' }

const steps = fc.oneof(
  fc.record({ call: fc.constantFrom('malloc', 'writeBinary', 'append'), size: sizes }),
  fc.record({
    call: fc.constantFrom('writeString'),
    size: sizes,
    alphabet: fc.constantFrom(...Object.values(alphabets)),
    encoding: fc.constantFrom('utf8', 'latin1', 'utf16le', 'hex', 'base64'),
  }),
  fc.record({ call: fc.constantFrom('flush', 'turn') }),
) as fc.Arbitrary<Step>

interface Step {
  readonly call: string
  readonly size?: number
  readonly alphabet?: string
  readonly encoding?: BufferEncoding
}

test.serial(
  'H31: every sequence of writing calls sends what a flat array of bytes would hold',
  async (t) => {
    await leakCheck(t)
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 20 }), async (sequence) => {
        const { connection, peer } = await openPair(t)
        const source = new Stream(31)
        const model: Buffer[] = []
        for (const step of sequence) model.push(await writeAsModel(connection, peer, source, step))
        connection.writer.flush()
        const expected = Buffer.concat(model)
        const received = await peer.read(expected.length)
        if (!received.equals(expected)) throw new Error('bytes differ')
        await within(connection.writer.drained(), 'drained()')
        if (connection.writer.pendingLength !== 0) throw new Error('something is pending')
        if (connection.bytesWritten !== expected.length) throw new Error('bytesWritten is wrong')
        connection.destroy()
        peer.socket.destroy()
        await connection.closed
      }),
      { numRuns: 60 },
    )
    t.pass()
  },
)

async function writeAsModel(
  connection: Connection,
  peer: Peer,
  source: Stream,
  { call, size = 0, alphabet = '', encoding = 'utf8' }: Step,
): Promise<Buffer> {
  const { writer, reader, input } = connection
  if (call === 'flush') writer.flush()
  if (call === 'turn') await turn()
  if (call === 'writeString') {
    const isText = encoding !== 'hex' && encoding !== 'base64'
    const text = isText ? repeat(alphabet, size) : source.peek(size).toString(encoding)
    writer.writeString(text, encoding)
    return Buffer.from(text, encoding)
  }
  const bytes = ['malloc', 'writeBinary', 'append'].includes(call) ? source.take(size) : EMPTY
  if (call === 'malloc') writer.malloc(size).set(bytes)
  if (call === 'writeBinary') writer.writeBinary(bytes)
  if (call === 'append' && size > 0) {
    peer.socket.write(bytes)
    await within(reader.wait(size), 'the bytes to be appended')
    writer.append(input)
    if (input.length !== 0) throw new Error('something was left in the input')
  }
  return bytes
}
const EMPTY = Buffer.alloc(0)

function repeat(alphabet: string, length: number): string {
  return alphabet.repeat(Math.ceil(length / alphabet.length)).slice(0, length)
}

for (const [name, alphabet] of Object.entries(alphabets)) {
  test.serial(`strings of more than 256 KiB arrive whole: ${name}`, async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    for (const length of [262_143, 262_144, 262_145, 1_000_001]) {
      const text = repeat(alphabet, length)
      connection.writer.writeString('<').writeString(text).writeString('>').flush()
      const expected = Buffer.from(`<${text}>`)
      const received = await peer.read(expected.length)
      t.true(received.equals(expected), `${length} characters`)
    }
  })
}

test.serial(
  'append() of partly consumed input leaves views of the consumed part alone',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { input, reader, writer } = connection
    for (const size of [100, 65_536, 300_000]) {
      const bytes = new Stream(size).take(size)
      peer.socket.write(bytes)
      await within(reader.wait(size), 'the bytes')
      const consumed = Math.floor(size / 3)
      const view = input.next(consumed)
      writer.append(input).flush()
      t.is(input.length, 0)
      t.true((await peer.read(size - consumed)).equals(bytes.subarray(consumed)))
      // Other traffic, which would show if the node had been given back.
      peer.socket.write(bytes)
      await within(reader.wait(size), 'the bytes again')
      t.true(view.equals(bytes.subarray(0, consumed)))
      t.true(input.next(size).equals(bytes))
      input.release()
    }
  },
)

test.serial('a proxy that appends from one connection to another changes no byte', async (t) => {
  await leakCheck(t)
  const { port } = await startNetServer(t, (socket) => void socket.pipe(socket))
  const server = await startServer<Connection>(t, {
    onConnect: async (connection) => {
      const target = await dialTo(t, port, {
        onRequest({ input }) {
          if (connection.isActive) connection.writer.append(input).flush()
          else input.skip(input.length)
        },
      })
      connection.addCloseCallback(() => void target.close())
      return target
    },
    onRequest({ input }, target) {
      target.writer.append(input).flush()
    },
  })
  const peers = await Promise.all(Array.from({ length: 5 }, () => Peer.connect(t, server.address)))
  await Promise.all(
    peers.map(async (peer, seed) => {
      peer.socket.write(new Stream(seed).take(5 * MIB))
      t.true(new Stream(seed).matches(await peer.read(5 * MIB)))
    }),
  )
})

test.serial(
  'one write of 5 MiB arrives byte for byte, by writeBinary, malloc and write',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const stream = new Stream(6)
    connection.writer.writeBinary(stream.take(5 * MIB)).flush()
    connection.writer.malloc(5 * MIB).set(stream.take(5 * MIB))
    connection.writer.flush()
    connection.write(stream.take(5 * MIB))
    t.true(new Stream(6).matches(await peer.read(15 * MIB)))
    await within(connection.writer.drained(), 'drained()')
    t.is(connection.bytesWritten, 15 * MIB)
  },
)

test.serial('bytes that the caller changes after writeBinary() leave as they were', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const small = Buffer.alloc(4_096, 'a')
  connection.writer.writeBinary(small)
  small.fill('b')
  connection.writer.flush()
  t.true((await peer.read(4_096)).equals(Buffer.alloc(4_096, 'a')))
})

test.serial('what is not flushed does not leave', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  connection.writer.writeString('held back, ')
  await turn()
  await turn()
  t.is(peer.bytesReceived, 0)
  connection.write('sent')
  t.is((await peer.read(15)).toString(), 'held back, sent')
})

test.serial('H34, H70: 3,000 tiny appended segments leave in one flush, in order', async (t) => {
  await leakCheck(t)
  const sources = [await openPair(t), await openPair(t)] as const
  const { connection, peer } = await openPair(t)
  // Bytes that come in turn to two connections lie between each other in their common node.
  for (let index = 0; index < 1_500; index++) {
    for (const source of sources) {
      source.peer.socket.write(Buffer.of(index))
      await source.connection.reader.wait(index + 1)
    }
  }
  for (const source of sources) connection.writer.append(source.connection.input)
  connection.writer.flush()
  const once = Buffer.from(Array.from({ length: 1_500 }, (_, index) => index & 255))
  t.true((await peer.read(3_000)).equals(Buffer.concat([once, once])))
})

test.serial(
  'flush() says false above 1 MiB of pending output, and true when it has left',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    t.true(connection.writer.flush())
    t.true(connection.write('a little'))
    peer.socket.pause()
    let flushes = 0
    while (connection.write(Buffer.alloc(100_000)) && flushes < 500) {
      flushes++
      await turn()
    }
    t.true(connection.writer.pendingLength > MIB, `${connection.writer.pendingLength} are pending`)
    peer.socket.resume()
    await within(connection.writer.drained(), 'drained()')
    t.is(connection.writer.pendingLength, 0)
    t.true(connection.write('a little'))
  },
)

test.serial(
  'H41: drained() resolves only after the peer has read, and then everything is there',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    peer.socket.pause()
    const stream = new Stream(16)
    connection.write(stream.take(16 * MIB))
    let isDrained = false
    const draining = connection.writer.drained().then(() => (isDrained = true))
    const again = connection.writer.drained()
    await settled(() => connection.writer.pendingLength)
    t.false(isDrained)
    peer.socket.resume()
    await within(Promise.all([draining, again]), 'drained()')
    t.is(connection.bytesWritten, 16 * MIB)
    t.true(new Stream(16).matches(await peer.read(16 * MIB)))
    await within(connection.writer.drained(), 'drained() with nothing to wait for')
  },
)

test.serial(
  'bytesWritten and pendingLength tell what the kernel has taken while the rest waits',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    peer.socket.pause()
    connection.write(Buffer.alloc(32 * MIB))
    await eventually(() => connection.bytesWritten > 0, 'bytesWritten to grow', 3_000)
    t.true(connection.bytesWritten < 32 * MIB)
    t.is(connection.writer.pendingLength, 32 * MIB - connection.bytesWritten)
  },
)

test.serial('drained() rejects when the connection ends before everything has left', async (t) => {
  await leakCheck(t)
  for (const end of ['destroy', 'destroy with an error'] as const) {
    const { connection, peer } = await openPair(t)
    peer.socket.pause()
    connection.write(Buffer.alloc(16 * MIB))
    const draining = failureOf(connection.writer.drained())
    await turn()
    const error = new Error('no more of it')
    if (end === 'destroy') connection.destroy()
    else connection.destroy(error)
    if (end === 'destroy') t.like(await draining, { code: 'ERR_NODEPOLL_CONNECTION_CLOSED' })
    else t.is(await draining, error)
    t.deepEqual(await failureOf(connection.writer.drained()), await draining)
  }
})

test.serial(
  'H29: a peeked view stays whole until release() although append() moved on',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { input, reader, writer } = connection
    const views: Buffer[] = []
    for (let round = 0; round < 20; round++) {
      peer.socket.write(new Stream(round).take(20_000))
      await within(reader.wait(20_000), 'the bytes')
      views.push(Buffer.concat([input.peek(10)]), input.peek(10))
      writer.append(input).flush()
      t.true(new Stream(round).matches(await peer.read(20_000)))
    }
    const other = await openPair(t, {
      onRequest: (own) => own.writer.append(own.input).flush() as unknown as undefined,
    })
    for (let round = 0; round < 50; round++) {
      await other.peer.send(Buffer.alloc(100_000, round))
      await other.peer.read(100_000)
    }
    for (let index = 0; index < views.length; index += 2) {
      t.deepEqual(views[index + 1], views[index], `view ${index / 2}`)
    }
    input.release()
  },
)
