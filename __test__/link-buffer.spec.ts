import test from 'ava'
import * as fc from 'fast-check'
import { LinkBuffer, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { eventually, turn, within } from './helpers/deadline.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const BUFFERS = 3
const WRITE_NODE_BYTES = 65_536

const SIZES = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 5_000 }),
  fc.constantFrom(65_535, 65_536, 65_537, 262_144, 262_145),
)

const OPERATIONS = [
  'malloc',
  'mallocAck',
  'writeBinary',
  'writeString',
  'writeUInt32BE',
  'writeDirect',
  'append',
  'appendSlice',
  'flush',
  'next',
  'peek',
  'readBinary',
  'skip',
  'slice',
  'until',
  'release',
  'close',
] as const

const steps = fc.array(
  fc.record({
    call: fc.constantFrom(...OPERATIONS),
    on: fc.nat({ max: BUFFERS - 1 }),
    from: fc.nat({ max: BUFFERS - 1 }),
    size: SIZES,
    at: fc.nat(),
  }),
  { minLength: 1, maxLength: 60 },
)

type Step = typeof steps extends fc.Arbitrary<(infer Item)[]> ? Item : never

/** A buffer and, flat, what it must hold. */
class Modelled {
  readonly buffer = new LinkBuffer()
  readable = Buffer.alloc(0)
  unflushed = Buffer.alloc(0)
  /** Views that no release has ended, with the bytes they had. */
  #views: [view: Buffer, bytes: Buffer][] = []

  write(bytes: Buffer): void {
    this.unflushed = Buffer.concat([this.unflushed, bytes])
  }

  read(n: number): Buffer {
    const bytes = this.readable.subarray(0, n)
    this.readable = this.readable.subarray(n)
    return bytes
  }

  look(view: Buffer, bytes: Buffer): void {
    same(view, bytes, 'a view')
    this.#views.push([view, bytes])
  }

  end(): void {
    this.#views = []
  }

  check(): void {
    const { buffer } = this
    if (buffer.length !== this.readable.length) throw new Error('length')
    if (buffer.mallocLength !== this.unflushed.length) throw new Error('mallocLength')
    for (const [view, bytes] of this.#views) same(view, bytes, 'a view, later')
  }
}

function same(bytes: Buffer, expected: Buffer, what: string): void {
  if (!bytes.equals(expected)) throw new Error(`${what} differs`)
}

function take(step: Step, target: Modelled, source: Modelled, bytes: Buffer): void {
  const { buffer } = target
  const { call, at } = step
  const some = at % (target.readable.length + 1)
  if (call === 'malloc') {
    buffer.malloc(bytes.length).set(bytes)
    target.write(bytes)
  } else if (call === 'mallocAck') {
    const keep = at % (target.unflushed.length + 1)
    buffer.mallocAck(keep)
    target.unflushed = target.unflushed.subarray(0, keep)
  } else if (call === 'writeBinary') {
    buffer.writeBinary(bytes)
    target.write(bytes)
  } else if (call === 'writeString') {
    buffer.writeString(bytes.toString('latin1'))
    target.write(Buffer.from(bytes.toString('latin1')))
  } else if (call === 'writeUInt32BE') {
    buffer.writeUInt32BE(at >>> 0)
    target.write(Buffer.from([at >>> 24, at >>> 16, at >>> 8, at]))
  } else if (call === 'writeDirect') {
    const remain = at % (target.unflushed.length + 1)
    const cut = target.unflushed.length - remain
    buffer.writeDirect(bytes, remain)
    const { unflushed } = target
    target.unflushed = Buffer.concat([unflushed.subarray(0, cut), bytes, unflushed.subarray(cut)])
  } else if (call === 'append') {
    if (source === target) return
    buffer.append(source.buffer)
    target.write(source.read(source.readable.length))
  } else if (call === 'appendSlice') {
    const n = at % (source.readable.length + 1)
    buffer.append(source.buffer.slice(n))
    target.write(source.read(n))
  } else if (call === 'flush') {
    buffer.flush()
    target.readable = Buffer.concat([target.readable, target.unflushed])
    target.unflushed = Buffer.alloc(0)
  } else if (call === 'next') {
    target.look(buffer.next(some), target.read(some))
  } else if (call === 'peek') {
    const offset = step.size % (target.readable.length - some + 1)
    target.look(buffer.peek(some, offset), target.readable.subarray(offset, offset + some))
  } else if (call === 'readBinary') {
    same(buffer.readBinary(some), target.read(some), 'a copy')
  } else if (call === 'skip') {
    buffer.skip(some)
    target.read(some)
  } else if (call === 'slice') {
    const slice = buffer.slice(some)
    buffer.release()
    target.end()
    same(slice.next(some), target.read(some), 'a slice')
    slice.close()
  } else if (call === 'until') {
    const index = target.readable.indexOf(at & 255)
    const found = buffer.until(at & 255)
    if (index < 0 !== (found === undefined)) throw new Error('until')
    if (found !== undefined) target.look(found, target.read(index + 1))
  } else if (call === 'release') {
    buffer.release()
    target.end()
  } else {
    buffer.close()
    target.end()
    target.readable = Buffer.alloc(0)
    target.unflushed = Buffer.alloc(0)
  }
}

test.serial(
  'H27, H29, H31, H32: any calls on buffers that share nodes do what flat ones would do',
  async (t) => {
    await leakCheck(t)
    const stale = stats().staleLeases
    let rounds = 0
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const all = Array.from({ length: BUFFERS }, () => new Modelled())
        const source = new Stream(rounds)
        for (const step of sequence) {
          const target = all[step.on] as Modelled
          take(step, target, all[step.from] as Modelled, source.take(step.size))
          for (const each of all) each.check()
        }
        for (const { buffer, readable } of all) {
          same(buffer.readBinary(readable.length), readable, 'what is left')
          buffer.close()
        }
        // Lets releases take effect, so that what was given back too early is written again.
        if (++rounds % 10 === 0) await turn()
      }),
      { numRuns: 400 },
    )
    t.is(stats().staleLeases, stale)
  },
)

test.serial('append() moves bytes from a connection to a buffer and back, unchanged', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const bytes = new Stream(9).take(200_000)
  await peer.send(bytes)
  await within(connection.reader.wait(bytes.length), 'the bytes')
  const buffer = new LinkBuffer()
  buffer.writeString('<').append(connection.input)
  t.is(connection.input.length, 0)
  t.is(buffer.mallocLength, bytes.length + 1)
  t.is(buffer.length, 0)
  buffer.flush().writeString('later')
  connection.writer.append(buffer).flush()
  t.is(buffer.length, 0)
  t.is(buffer.mallocLength, 5)
  t.deepEqual(await peer.read(bytes.length + 1), Buffer.concat([Buffer.from('<'), bytes]))
  buffer.flush()
  t.is(buffer.readString(5), 'later')
  buffer.close()
})

test.serial('H31: append() refuses what is no other buffer, and changes nothing', async (t) => {
  await leakCheck(t)
  const buffer = new LinkBuffer().writeString('abc').flush().writeString('d')
  t.throws(() => buffer.append(buffer), { code: 'ERR_INVALID_ARG_VALUE' })
  for (const other of [null, undefined, 'x', {}, Buffer.alloc(1)]) {
    t.throws(() => buffer.append(other as never), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  t.is(buffer.length, 3)
  t.is(buffer.mallocLength, 1)
  const slice = buffer.slice(2)
  t.throws(() => slice.writeByte(1), { code: 'ERR_NODEPOLL_UNSUPPORTED' })
  t.throws(() => slice.flush(), { code: 'ERR_NODEPOLL_UNSUPPORTED' })
  t.is(slice.readString(2), 'ab')
  slice.close()
  buffer.close()
  t.is(buffer.length + buffer.mallocLength, 0)
})

test.serial('H29, H31: mallocAck() of appended bytes leaves views of them alone', async (t) => {
  await leakCheck(t)
  const source = new LinkBuffer().writeString('abcdef').flush()
  const view = source.peek(6)
  const target = new LinkBuffer().append(source).mallocAck(3).writeString('XYZ').flush()
  t.is(String(view), 'abcdef')
  t.is(target.readString(6), 'abcXYZ')
  source.close()
  target.close()
})

test.serial('a size keeps what is written in one piece, and is checked', async (t) => {
  await leakCheck(t)
  const filler = new LinkBuffer()
  for (let round = 0; round < 50; round++) {
    filler.writeBinary(Buffer.alloc(7_001))
    const buffer = new LinkBuffer(30_000)
    for (let part = 0; part < 30; part++) buffer.writeBinary(Buffer.alloc(1_000, part))
    t.is([...buffer.flush().chunks()].length, 1)
    buffer.close()
  }
  filler.close()
  for (const size of [-1, 1.5, 2 ** 40]) {
    t.throws(() => new LinkBuffer(size), { code: 'ERR_OUT_OF_RANGE' })
  }
  t.throws(() => new LinkBuffer('1' as never), { code: 'ERR_INVALID_ARG_TYPE' })
})

test.serial('H36, H55: what is dropped without close() gives its memory back', async (t) => {
  await leakCheck(t)
  dropBuffers()
  await turn()
  t.true(stats().arenaBytesLeased > 20 * WRITE_NODE_BYTES)
  await eventually(() => {
    collectGarbage()
    return stats().arenaBytesLeased <= WRITE_NODE_BYTES
  }, 'the memory of dropped buffers')
})

function dropBuffers(): void {
  for (let round = 0; round < 10; round++) {
    const buffer = new LinkBuffer().writeBinary(Buffer.alloc(100_000)).flush()
    buffer.slice(50_000).peek(10)
    buffer.writeBinary(Buffer.alloc(300_000))
  }
}

test('append() of an ended connection takes all or, without memory, nothing', async (t) => {
  const program = `
    import { configure, dial, LinkBuffer, serve, stats } from 'nodepoll'
    import { setImmediate as turn } from 'node:timers/promises'
    configure({ pollers: 1, memoryMax: 6 << 20 })
    const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, index) => index % 251))
    let opened
    const opening = new Promise((resolve) => (opened = resolve))
    const server = await serve({ host: '127.0.0.1', port: 0, onConnect: (c) => opened(c) })
    const client = await dial({ host: '127.0.0.1', port: server.address.port })
    client.write(bytes)
    const connection = await opening
    await connection.reader.wait(bytes.length)
    connection.destroy()
    await connection.closed
    await client.close()
    await turn()
    const fillers = []
    const fill = (size) => {
      try {
        for (;;) {
          const filler = new LinkBuffer()
          filler.malloc(size)
          fillers.push(filler)
        }
      } catch (error) {
        return error.code
      }
    }
    fill(262_144)
    // Room for the first piece of the copy, not for the others.
    fillers.pop().close()
    await turn(); await turn()
    const target = new LinkBuffer().writeString('kept')
    const before = stats().arenaLeases
    let code
    try { target.append(connection.input) } catch (error) { code = error.code }
    await turn(); await turn()
    const { length } = connection.input
    console.log(code, length, target.mallocLength, stats().arenaLeases - before)
    for (const filler of fillers) filler.close()
    await turn(); await turn()
    target.append(connection.input).flush()
    console.log(connection.input.length, target.readString(4), target.next(600_000).equals(bytes))
    console.log(stats().staleLeases)
    await server.shutdown()
  `
  const { stdout, stderr } = await runChild(t, program)
  t.is(stdout, 'ERR_NODEPOLL_WRITE_LIMIT 600000 4 0\n0 kept true\n0\n', stderr)
})
