import test from 'ava'
import { configure, LinkBuffer } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { deferred, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, startServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

// A file of tests is a process, and so a runtime, of its own.
configure({ guard: true })

/** Fails unless the view has ended: it has no bytes, and what writes to it throws. */
function assertEnded(t: { is: Is; throws: Throws }, view: Buffer, what: string): void {
  t.is(view.length, 0, what)
  t.is(view[0], undefined, what)
  t.throws(() => view.writeUInt8(1, 0), undefined, what)
  t.throws(() => view.set([1]), undefined, what)
}

type Is = (actual: unknown, expected: unknown, message?: string) => void
type Throws = (run: () => unknown, expected?: undefined, message?: string) => unknown

test.serial('H38, H63: with guard, views of the input end with its release', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { input, reader } = connection
  const bytes = new Stream(38).take(200_000)
  await peer.send(bytes)
  await within(reader.wait(bytes.length), 'the bytes')
  const views: Record<string, Buffer> = {
    peek: input.peek(100),
    'peek across nodes': input.peek(150_000, 10),
    chunks: input.chunks().next().value as Buffer,
    next: input.next(1_000),
    'reader.next': await reader.next(99_000),
    until: input.until(bytes[100_000] as number) as Buffer,
  }
  t.deepEqual(views['peek'], bytes.subarray(0, 100))
  t.deepEqual(views['peek across nodes'], bytes.subarray(10, 150_010))
  t.deepEqual(views['reader.next'], bytes.subarray(1_000, 100_000))
  t.deepEqual(views['until'], bytes.subarray(100_000, 100_001))
  const copy = input.readBinary(10)
  input.release()
  for (const [name, view] of Object.entries(views)) assertEnded(t, view, name)
  t.deepEqual(copy, bytes.subarray(100_001, 100_011))
  const rest = input.length
  t.deepEqual(input.next(rest), bytes.subarray(100_011))
})

test.serial(
  'H38, H63: with guard, views of malloc() end with the flush, their bytes leave',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { writer } = connection
    const first = writer.malloc(4).fill('a')
    const second = writer.malloc(70_000).fill('b')
    const third = writer.malloc(10).fill('c')
    writer.writeDirect(Buffer.from('-'), 70_008)
    writer.mallocAck(70_007)
    writer.writeString('end')
    // What is written after mallocAck() still counts.
    first[0] = 0x41
    writer.flush()
    for (const view of [first, second, third]) assertEnded(t, view, 'malloc')
    t.is(String(await peer.read(70_010)), `Aaaabb-${'b'.repeat(69_998)}ccend`)
  },
)

test.serial(
  'H38, H63: with guard, buffers of the user and slices end their views too',
  async (t) => {
    await leakCheck(t)
    const buffer = new LinkBuffer()
    const room = buffer.malloc(3)
    room.set(Buffer.from('abc'))
    const unflushed = buffer.flush().malloc(2)
    const slice = buffer.slice(2)
    const ofSlice = slice.peek(2)
    const rest = buffer.next(1)
    t.is(`${String(ofSlice)}${String(rest)}`, 'abc')
    assertEnded(t, room, 'malloc')
    buffer.close()
    assertEnded(t, rest, 'next')
    assertEnded(t, unflushed, 'malloc, closed')
    t.is(String(ofSlice), 'ab', 'a slice outlives its parent')
    slice.close()
    assertEnded(t, ofSlice, 'slice')
  },
)

test.serial(
  'H38, H63: with guard, views end when the handler or the iteration goes on',
  async (t) => {
    await leakCheck(t)
    const seen = deferred<Buffer>()
    const server = await startServer(t, {
      onRequest({ input }) {
        seen.resolve(input.next(input.length))
      },
    })
    const peer = await Peer.connect(t, server.address)
    await peer.send('request')
    const late = await within(seen.promise, 'a request')
    await turn()
    assertEnded(t, late, 'onRequest')

    const pair = await openPair(t)
    await pair.peer.send('chunk')
    const iterator = pair.connection.reader[Symbol.asyncIterator]()
    const { value } = (await within(iterator.next(), 'a chunk')) as { value: Buffer }
    t.is(String(value), 'chunk')
    await iterator.return?.()
    assertEnded(t, value, 'the iterator')
  },
)

/** Source for a child that looks at a view after its release. */
function program(before: string): string {
  return `
    import { configure, LinkBuffer } from 'nodepoll'
    process.env.NODEPOLL_GUARD = '1'
    ${before}
    const buffer = new LinkBuffer().writeString('abc').flush()
    const view = buffer.next(3)
    buffer.release()
    console.log(view.length)
  `
}

test('NODEPOLL_GUARD=1 turns guard on, configure() off again, and it is checked', async (t) => {
  const outputs = await Promise.all(
    ['', 'configure({ guard: false })', 'configure({ pollers: 1 })'].map((before) =>
      runChild(t, program(before)),
    ),
  )
  t.deepEqual(
    outputs.map(({ stdout }) => stdout),
    ['0\n', '3\n', '0\n'],
  )
  t.throws(() => configure({ guard: 1 as never }), { code: 'ERR_INVALID_ARG_TYPE' })
})
