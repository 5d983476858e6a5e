import test, { type ExecutionContext } from 'ava'
import type { Connection } from 'nodepoll'

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
    await within(reader.skip(MIB - 1), 'the bytes')
    reader.release()
    t.is(input.readByte(), round)
  }
})
