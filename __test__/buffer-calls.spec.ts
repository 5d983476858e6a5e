import test from 'ava'
import * as fc from 'fast-check'
import type { Connection } from 'nodepoll'

import { codeOf, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair, type Pair } from './helpers/server.ts'

const kinds = ['UInt16', 'Int16', 'UInt32', 'Int32', 'BigUInt64', 'BigInt64', 'Float', 'Double']
const NUMBERS = ['UInt8', 'Int8', ...kinds.flatMap((kind) => [`${kind}BE`, `${kind}LE`])]
const SHORT = { code: 'ERR_NODEPOLL_SHORT_BUFFER' }

/** The same call on a Buffer, a LinkBuffer, a Reader or a Writer. */
function call(object: object, name: string, ...values: unknown[]): unknown {
  return (object as Record<string, (...values: unknown[]) => unknown>)[name]?.(...values)
}

function bytesOf(name: string): number {
  return name.endsWith('8') ? 1 : /16/.test(name) ? 2 : /64|Double/.test(name) ? 8 : 4
}

/** Sends each piece by itself, so that each becomes a segment, and waits for all of them. */
async function arrive({ connection, peer }: Pair, pieces: readonly Uint8Array[]): Promise<void> {
  let length = connection.input.length
  for (const piece of pieces) {
    await peer.send(piece)
    length += piece.length
    await within(connection.reader.wait(length), 'a piece')
  }
}

const random = (size: number): Buffer =>
  Buffer.from(Array.from({ length: size }, () => Math.random() * 256))

/** Another connection's bytes come between two pieces, so that they cannot join to one segment. */
async function openApart(t: Parameters<typeof openPair>[0]): Promise<{
  pair: Pair
  fill: (bytes: Uint8Array, cut: number) => Promise<void>
}> {
  const pair = await openPair(t)
  const other = await openPair(t)
  const fill = async (bytes: Uint8Array, cut: number): Promise<void> => {
    await arrive(pair, [bytes.subarray(0, cut)])
    await arrive(other, [Buffer.of(0xee)])
    await arrive(pair, [bytes.subarray(cut)])
  }
  return { pair, fill }
}

test.serial(
  'typed reads and peeks give what a Buffer gives, at every cut between nodes',
  async (t) => {
    await leakCheck(t)
    const { pair, fill } = await openApart(t)
    const { input, reader } = pair.connection
    for (const name of NUMBERS) {
      const size = bytesOf(name)
      for (let cut = 1; cut <= size; cut++) {
        const bytes = random(size + 1)
        const expected = call(bytes, `read${name}`, 0)
        await fill(bytes, cut)
        t.is(call(input, `peek${name}`), expected, `peek${name} cut at ${cut}`)
        t.is(call(input, `peek${name}`, 1), undefinedIfShort(bytes, name, 1, t, input))
        t.is(await call(reader, `peek${name}`), expected)
        t.is(cut % 2 ? call(input, `read${name}`) : await call(reader, `read${name}`), expected)
        t.is(input.readByte(), bytes[size] as number)
        t.is(input.length, 0)
        input.release()
      }
      t.throws(() => call(input, `read${name}`), SHORT)
    }
  },
)

/** What lies one byte further; there is exactly enough of it. */
function undefinedIfShort(
  bytes: Buffer,
  name: string,
  offset: number,
  t: { throws: (run: () => unknown, expected: object) => unknown },
  input: Connection['input'],
): unknown {
  t.throws(() => call(input, `peek${name}`, offset + 1), SHORT)
  return call(bytes, `read${name}`, offset)
}

test.serial('typed writes send what a Buffer holds, and refuse what does not fit', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { writer } = connection
  const expected: Buffer[] = []
  for (const name of NUMBERS) {
    const bytes = random(bytesOf(name))
    const value = call(bytes, `read${name}`, 0)
    const wanted = Buffer.alloc(bytes.length)
    call(wanted, `write${name}`, value)
    call(writer, `write${name}`, value)
    expected.push(wanted)
  }
  const length = writer.mallocLength
  for (const name of NUMBERS.filter((number) => /Int/.test(number))) {
    const tooMuch = 2n ** BigInt(bytesOf(name) * 8)
    const value = name.includes('Big') ? tooMuch : Number(tooMuch)
    t.throws(() => call(writer, `write${name}`, value), { code: 'ERR_OUT_OF_RANGE' }, name)
    t.throws(() => call(writer, `write${name}`, '1'), { code: 'ERR_INVALID_ARG_TYPE' }, name)
  }
  t.throws(() => call(writer, 'writeDoubleBE', '1'), { code: 'ERR_INVALID_ARG_TYPE' })
  t.is(writer.mallocLength, length)
  writer.writeByte(255).flush()
  const all = Buffer.concat([...expected, Buffer.of(255)])
  t.deepEqual(await peer.read(all.length), all)
})

test.serial('H30: until() and indexOf() find what a flat Buffer finds, across nodes', async (t) => {
  await leakCheck(t)
  const { pair, fill } = await openApart(t)
  const { input } = pair.connection
  const letters = fc.array(fc.constantFrom(97, 98), { minLength: 2, maxLength: 30 })
  const delimiters = fc.array(fc.constantFrom(97, 98), { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(letters, delimiters, fc.nat(), fc.nat(), async (text, part, cut, start) => {
      const bytes = Buffer.from(text)
      const delimiter = Buffer.from(part)
      await fill(bytes, 1 + (cut % (bytes.length - 1)))
      const from = start % (bytes.length + 1)
      const expected = bytes.indexOf(delimiter, from)
      const isInside = from + delimiter.length <= bytes.length
      if (input.indexOf(delimiter, from) !== (isInside ? expected : -1)) throw new Error('indexOf')
      const first = bytes.indexOf(delimiter)
      const found = input.until(delimiter.length === 1 ? (part[0] as number) : delimiter)
      if (
        first < 0 ? found !== undefined : !found?.equals(bytes.subarray(0, first + part.length))
      ) {
        throw new Error('until')
      }
      if (input.length !== bytes.length - (found?.length ?? 0)) throw new Error('length')
      input.skip(input.length)
      input.release()
    }),
    { numRuns: 150 },
  )
  t.throws(() => input.until(Buffer.alloc(0)), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => input.until(256), { code: 'ERR_OUT_OF_RANGE' })
  t.throws(() => input.indexOf('a' as never), { code: 'ERR_INVALID_ARG_TYPE' })
})

test.serial(
  'H30: 1,000 peeks across nodes give one Buffer, and new ones what is there then',
  async (t) => {
    await leakCheck(t)
    const { pair, fill } = await openApart(t)
    const { input } = pair.connection
    const bytes = random(4_000)
    await fill(bytes, 1_000)
    const first = input.peek(3_000, 10)
    t.deepEqual(first, bytes.subarray(10, 3_010))
    for (let time = 0; time < 1_000; time++) t.is(input.peek(3_000, 10), first)
    input.skip(5)
    t.is(input.peek(3_000, 5), first)
    t.deepEqual(input.peek(3_000, 0), bytes.subarray(5, 3_005))
    input.skip(input.length)
  },
)

test.serial('H32: a slice keeps its bytes when all else is released and overwritten', async (t) => {
  await leakCheck(t)
  const { pair, fill } = await openApart(t)
  const { input } = pair.connection
  const kept: [slice: ReturnType<typeof input.slice>, bytes: Buffer][] = []
  for (let round = 0; round < 40; round++) {
    const bytes = random(3_000)
    await fill(bytes, 1 + ((round * 997) % 2_999))
    input.skip(100)
    kept.push([input.slice(2_500), bytes.subarray(100, 2_600)])
    t.deepEqual(input.readBinary(400), bytes.subarray(2_600))
    input.release()
  }
  // Traffic that uses what was given back.
  for (let round = 0; round < 40; round++) {
    await fill(Buffer.alloc(60_000, round), 100)
    input.skip(input.length)
    input.release()
  }
  for (const [slice, bytes] of kept) {
    t.deepEqual(slice.peek(2_500), bytes)
    const inner = slice.slice(1_000)
    t.deepEqual(inner.readBinary(1_000), bytes.subarray(0, 1_000))
    inner.release()
    t.deepEqual(slice.readBinary(500), bytes.subarray(1_000, 1_500))
    slice.close()
    t.is(slice.length, 0)
    slice.close()
  }
})

test.serial(
  'chunks() and the iterator of a reader give every byte once, and end at FIN',
  async (t) => {
    await leakCheck(t)
    const { pair, fill } = await openApart(t)
    const { input, reader } = pair.connection
    const bytes = random(10_000)
    await fill(bytes, 3_000)
    t.deepEqual(Buffer.concat([...input.chunks()]), bytes)
    t.is(input.length, bytes.length)
    const received: Buffer[] = []
    const reading = (async () => {
      for await (const chunk of reader) received.push(Buffer.from(chunk))
    })()
    const more = random(200_000)
    await pair.peer.send(more)
    pair.peer.end()
    await within(reading, 'the end of the iterator')
    t.deepEqual(Buffer.concat(received), Buffer.concat([bytes, more]))
  },
)

test.serial(
  'reader.until() waits for a delimiter that comes in parts, and for the end',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const line = connection.reader.until(Buffer.from('\r\n'))
    for (const part of ['one', ' line', '\r', '\nand a part']) {
      await peer.send(part)
      await turn()
    }
    t.is(String(await within(line, 'a line')), 'one line\r\n')
    const rest = connection.reader.until(10)
    t.is(codeOf(await failureOf(connection.reader.until(10))), 'ERR_NODEPOLL_CONCURRENT_READ')
    peer.end()
    t.is(codeOf(await failureOf(rest)), 'ERR_NODEPOLL_EOF')
    t.is(connection.input.readString(connection.input.length), 'and a part')
  },
)

const writes = fc.oneof(
  fc.record({
    call: fc.constantFrom('malloc', 'writeBinary', 'writeDirect', 'mallocAck'),
    size: fc.integer({ min: 0, max: 70_000 }),
    at: fc.nat(),
  }),
  fc.record({
    call: fc.constantFrom('writeDirect'),
    size: fc.constantFrom(1, 65_536, 262_145),
    at: fc.nat(),
  }),
)

test.serial(
  'H31: writeDirect() and mallocAck() among other calls leave what an array would hold',
  async (t) => {
    await leakCheck(t)
    await fc.assert(
      fc.asyncProperty(fc.array(writes, { minLength: 1, maxLength: 15 }), async (sequence) => {
        const { connection, peer } = await openPair(t)
        const { writer } = connection
        let model = Buffer.alloc(0)
        for (const { call: name, size, at } of sequence) {
          const bytes = random(Math.min(size, 300)).fill(at & 255, 10)
          const full = Buffer.concat([
            bytes,
            Buffer.alloc(Math.max(0, size - bytes.length), size & 255),
          ])
          if (name === 'mallocAck') {
            const keep = model.length === 0 ? 0 : at % (model.length + 1)
            writer.mallocAck(keep)
            model = model.subarray(0, keep)
          } else if (name === 'writeDirect') {
            const remain = at % (model.length + 1)
            writer.writeDirect(full, remain)
            const cut = model.length - remain
            model = Buffer.concat([model.subarray(0, cut), full, model.subarray(cut)])
          } else {
            if (name === 'malloc') writer.malloc(full.length).set(full)
            else writer.writeBinary(full)
            model = Buffer.concat([model, full])
          }
          if (writer.mallocLength !== model.length) throw new Error('mallocLength')
        }
        writer.flush()
        if (!(await peer.read(model.length)).equals(model)) throw new Error('bytes differ')
        connection.destroy()
        peer.socket.destroy()
        await connection.closed
      }),
      { numRuns: 60 },
    )
    const { connection } = await openPair(t)
    connection.writer.writeString('abc')
    t.throws(() => connection.writer.mallocAck(4), { code: 'ERR_OUT_OF_RANGE' })
    t.throws(() => connection.writer.writeDirect(Buffer.of(1), 4), { code: 'ERR_OUT_OF_RANGE' })
    t.is(connection.writer.mallocLength, 3)
  },
)
