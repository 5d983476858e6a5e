import test, { type ExecutionContext } from 'ava'
import { type Connection, type LinkBuffer, stats } from 'nodepoll'

import { codeOf, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'

const MIB = 1 << 20
const UNRELEASED_MAX = 64 * MIB
const UNRELEASED = 'ERR_NODEPOLL_UNRELEASED'

interface Fed {
  readonly connection: Connection
  readonly feed: (bytes: number) => Promise<void>
}

/** A connection, and a way to have so many bytes arrive and be read without a release. */
async function openFed(t: ExecutionContext): Promise<Fed> {
  const { connection, peer } = await openPair(t)
  const feed = async (bytes: number): Promise<void> => {
    for (let rest = bytes; rest > 0; rest -= MIB) {
      const size = Math.min(rest, MIB)
      await peer.send(Buffer.alloc(size, 7))
      await within(connection.reader.skip(size), 'the bytes')
    }
  }
  t.teardown(() => connection.destroy())
  return {
    connection,
    async feed(bytes) {
      await feed(bytes)
      await peer.send(Buffer.alloc(100, 8))
    },
  }
}

test.serial('H55: beyond 64 MiB unreleased each read fails until the release', async (t) => {
  await leakCheck(t)
  const { connection, feed } = await openFed(t)
  const { input, reader } = connection
  await feed(UNRELEASED_MAX)
  await within(reader.wait(100), 'the rest')
  t.is(input.readByte(), 8, 'at the limit itself a read is granted')
  const reads: Record<string, () => unknown> = {
    next: () => input.next(1),
    peek: () => input.peek(1),
    skip: () => input.skip(1),
    until: () => input.until(8),
    readString: () => input.readString(1),
    readBinary: () => input.readBinary(1),
    readByte: () => input.readByte(),
    peekUInt32BE: () => input.peekUInt32BE(2),
    readDoubleLE: () => input.readDoubleLE(),
    slice: () => input.slice(1),
  }
  for (const [name, read] of Object.entries(reads)) t.throws(read, { code: UNRELEASED }, name)
  const waiting = [
    () => reader.next(1),
    () => reader.wait(1_000),
    () => reader.until(9),
    () => reader.readUInt16BE(),
  ]
  for (const read of waiting) t.is(codeOf(await failureOf(read())), UNRELEASED)
  t.is(input.length, 99, 'nothing was consumed')
  input.release()
  t.is(input.readByte(), 8)
  t.is((await reader.next(98)).length, 98)
})

test.serial('H55: what is released or handed on does not count as unreleased', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { input, reader, writer } = connection
  for (let round = 0; round < 70; round++) {
    await peer.send(Buffer.alloc(MIB, round))
    await within(reader.wait(MIB), 'the bytes')
    writer.append(input).flush()
    t.is((await peer.read(MIB))[0], round)
  }
  for (let round = 0; round < 70; round++) {
    await peer.send(Buffer.alloc(MIB, round))
    await within(reader.wait(MIB), 'the bytes')
    input.skip(MIB - 1)
    reader.release()
    t.is(input.readByte(), round)
  }
})

test.serial(
  'H55, H83: slices that are kept count as unreleased until they give back',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { input, reader } = connection
    const kept: LinkBuffer[] = []
    const keep = async (): Promise<void> => {
      await peer.send(Buffer.alloc(MIB, kept.length))
      await within(reader.wait(MIB), 'the bytes')
      kept.push(input.slice(MIB))
      input.release()
    }
    for (let round = 0; round < 64; round++) await keep()
    await peer.send(Buffer.alloc(10, 99))
    await within(reader.wait(10), 'ten more')
    const last = input.slice(1)
    t.is(last.readByte(), 99, 'at the limit itself a read is granted')
    last.close()
    t.is(codeOf(await failureOf(reader.next(1))), UNRELEASED)
    input.release()
    t.throws(() => input.readByte(), { code: UNRELEASED }, 'the slices hold them')
    t.true(stats().arenaBytesLeased >= 64 * MIB)

    kept.shift()?.close()
    t.is(input.readByte(), 99, 'one has given back')
    for (let round = 0; round < 3; round++) {
      const slice = kept.shift() as LinkBuffer
      t.is(slice.next(MIB)[0], 1 + round)
      slice.release()
    }
    const part = kept.shift() as LinkBuffer
    const inner = part.slice(MIB / 2)
    part.close()
    for (let round = 0; round < 3; round++) await keep()
    t.throws(() => input.readByte(), { code: 'ERR_NODEPOLL_SHORT_BUFFER' })
    await keep()
    t.notThrows(() => input.slice(0), 'half a MiB was given back')
    inner.close()
    connection.writer.append(kept.shift() as LinkBuffer).flush()
    t.is((await peer.read(MIB))[0], 5, 'what is handed on is given back')
    for (const slice of kept) slice.close()
    await keep()
    t.is(kept.at(-1)?.length, MIB)
    kept.at(-1)?.close()
  },
)

test.serial('H105: stats() shows what short slices hold, and what they refer to', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { input, reader } = connection
  const kept: LinkBuffer[] = []
  const before = stats().arenaBytesSliced
  for (let n = 0; n < 1000; n++) {
    await peer.send(Buffer.alloc(4096, n))
    await within(reader.wait(4096), 'a message')
    kept.push(input.slice(1))
    input.skip(4095)
    input.release()
  }
  t.is(stats().arenaBytesSliced - before, 1000)
  t.true(stats().arenaBytesLeased >= 4_000_000)
  for (const slice of kept) slice.close()
  t.is(stats().arenaBytesSliced, before)
})
