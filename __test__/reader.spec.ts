import test from 'ava'
import * as fc from 'fast-check'
import type { Connection } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { codeOf, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'
import { randomFrom, randomSize, Stream } from './helpers/stream.ts'

const sizes = fc.oneof(
  fc.constantFrom(0, 1, 65_535, 65_536, 65_537, 262_144, (1 << 20) + 1),
  fc.integer({ min: 0, max: 200 }),
  fc.integer({ min: 0, max: 200_000 }),
)

const calls = fc.record({
  call: fc.constantFrom(
    'next',
    'skip',
    'readString',
    'readBinary',
    'wait',
    'peek at the input',
    'next of the input',
    'skip of the input',
    'readString of the input',
    'readBinary of the input',
    'release',
  ),
  size: sizes,
})

test.serial('every sequence of reads gives what a flat array of bytes would give', async (t) => {
  await leakCheck(t)
  await fc.assert(
    fc.asyncProperty(
      fc.array(calls, { minLength: 1, maxLength: 25 }),
      fc.array(sizes, { minLength: 1, maxLength: 10 }),
      async (sequence, chunks) => {
        const { connection, peer } = await openPair(t)
        const total = sequence.reduce((sum, { size }) => sum + size, 0)
        const sent = new Stream(11)
        let chunk = 0
        while (sent.position < total) {
          const size = Math.max(1, chunks[chunk++ % chunks.length] as number)
          peer.socket.write(sent.take(Math.min(size, total - sent.position)))
        }
        const model = new Stream(11)
        for (const { call, size } of sequence) await readAsModel(connection, model, call, size)
        connection.destroy()
        peer.socket.destroy()
        await connection.closed
      },
    ),
    { numRuns: 60 },
  )
  t.pass()
})

async function readAsModel(
  connection: Connection,
  model: Stream,
  call: string,
  size: number,
): Promise<void> {
  const { reader, input } = connection
  const isSynchronous = call.endsWith('input')
  const n = isSynchronous ? Math.min(size, input.length) : size
  const before = input.length
  let bytes: Buffer | undefined
  if (call === 'next') bytes = await reader.next(n)
  else if (call === 'skip') await reader.skip(n)
  else if (call === 'readString') bytes = Buffer.from(await reader.readString(n, 'hex'), 'hex')
  else if (call === 'readBinary') bytes = await reader.readBinary(n)
  else if (call === 'wait') await reader.wait(n)
  else if (call === 'next of the input') bytes = input.next(n)
  else if (call === 'skip of the input') input.skip(n)
  else if (call === 'readString of the input') {
    bytes = Buffer.from(input.readString(n, 'latin1'), 'latin1')
  } else if (call === 'readBinary of the input') bytes = input.readBinary(n)
  else if (call === 'release') reader.release()
  else {
    const offset = Math.floor(n / 3)
    const view = input.peek(n - offset, offset)
    if (!view.equals(model.peek(n - offset, offset))) throw new Error('peek differs')
    if (input.length !== before) throw new Error('peek has consumed')
    if (reader.length !== input.length) throw new Error('reader and input differ in length')
    return
  }
  if (bytes !== undefined) {
    if (bytes.length !== n || !model.matches(bytes)) throw new Error(`${call}(${n}) differs`)
  } else if (call.startsWith('skip')) {
    model.skip(n)
  }
  if (isSynchronous && input.length !== before - n) throw new Error('the length is wrong')
}

test.serial(
  'H40: 20,000 reads of random sizes settle against random chunks, byte for byte',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const random = randomFrom(40)
    const readSizes = Array.from({ length: 20_000 }, () => randomSize(random, 30_000))
    const total = readSizes.reduce((sum, size) => sum + size, 0)
    const sent = new Stream(40)
    const sending = (async () => {
      while (sent.position < total) {
        await peer.send(sent.take(Math.min(randomSize(random, 300_000), total - sent.position)))
        if (random() < 0.1) await turn()
      }
    })()
    const model = new Stream(40)
    const reading = (async () => {
      for (const [index, size] of readSizes.entries()) {
        const bytes = await connection.reader.next(size)
        if (!model.matches(bytes)) throw new Error(`read ${index} of ${size} bytes differs`)
        if (index % 3 === 0) connection.reader.release()
      }
    })()
    await within(Promise.all([sending, reading]), 'all reads', 25_000)
    t.is(connection.input.length, 0)
    t.is(connection.bytesRead, total)
  },
)

test.serial('H28: a view that next() gave stays whole until release()', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const stream = new Stream(5)
  const views: Buffer[] = []
  for (let index = 0; index < 50; index++) {
    await peer.send(stream.take(30_000))
    views.push(await connection.reader.next(30_000))
  }
  t.true(new Stream(5).matches(Buffer.concat(views)))
  connection.reader.release()
})

test.serial('a read within one node gives a view, no copy', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  await peer.send('abcdef')
  await connection.reader.wait(6)
  const peeked = connection.input.peek(6)
  const next = await connection.reader.next(3)
  t.is(next.buffer, peeked.buffer)
  t.is(next.byteOffset, peeked.byteOffset)
  const copy = await connection.reader.readBinary(3)
  t.not(copy.buffer, peeked.buffer)
  connection.reader.release()
})

test.serial('reads of what is there settle whatever became of the connection', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  await peer.send('0123456789')
  await connection.reader.wait(10)
  connection.destroy()
  await connection.closed
  t.is(await connection.reader.readString(4), '0123')
  t.is((await connection.reader.next(2)).toString(), '45')
  const error = await failureOf(connection.reader.next(5))
  t.like(error, { code: 'ERR_NODEPOLL_CONNECTION_CLOSED' })
  t.is(connection.input.readString(4), '6789')
})

for (const [end, code] of [
  ['end', 'ERR_NODEPOLL_EOF'],
  ['reset', 'ECONNRESET'],
  ['close', 'ERR_NODEPOLL_CONNECTION_CLOSED'],
] as const) {
  test.serial(
    `a waiting read rejects with ${code} and leaves what has come in the input`,
    async (t) => {
      await leakCheck(t)
      const { connection, peer } = await openPair(t)
      await peer.send('partial')
      await connection.reader.wait(7)
      for (const call of ['next', 'skip', 'readString', 'readBinary', 'wait'] as const) {
        const reading = failureOf(connection.reader[call](8), call)
        await turn()
        if (call === 'next') {
          if (end === 'end') peer.end()
          else if (end === 'reset') peer.reset()
          else void connection.close()
        }
        t.is(codeOf(await reading), code, call)
        t.is(connection.input.length, 7)
      }
      t.is(connection.input.readString(7), 'partial')
    },
  )
}

test.serial('H103: a second read is refused at once and the first is not disturbed', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const first = connection.reader.readString(5)
  for (const call of ['next', 'skip', 'readString', 'readBinary', 'wait'] as const) {
    const error = await failureOf(connection.reader[call](1), call)
    t.is(codeOf(error), 'ERR_NODEPOLL_CONCURRENT_READ')
  }
  await peer.send('first')
  t.is(await within(first, 'the first read'), 'first')
  await peer.send('next')
  t.is(await within(connection.reader.readString(4), 'a read after it'), 'next')
})

test.serial(
  'H103: 3,000 calls of all kinds at once settle once each, and bytes stay in order',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { reader, writer, input } = connection
    const count = 3_000
    const source = new Stream(103)
    const incoming = new Stream(103)
    const outgoing = new Stream(104)
    peer.socket.removeAllListeners('data')
    const echoed = new Stream(104)
    let isExact = true
    peer.socket.on('data', (bytes: Buffer) => (isExact &&= echoed.matches(bytes)))
    const random = randomFrom(103)
    const settled: Record<string, number> = {}
    const all: Promise<unknown>[] = []
    const track = (kind: string, promise: Promise<unknown>): void => {
      const note = (outcome: string): void => {
        settled[`${kind} ${outcome}`] = (settled[`${kind} ${outcome}`] ?? 0) + 1
      }
      all.push(
        promise.then(
          () => note('resolves'),
          (error: unknown) => note(String(codeOf(error))),
        ),
      )
    }
    for (let call = 0; call < count; call++) {
      const pick = random()
      const size = randomSize(random, 3_000)
      if (pick < 0.4) {
        // One in three of these is the one that may wait, the others are refused or find enough.
        track(
          'read',
          reader.readBinary(size).then((bytes) => {
            if (!incoming.matches(bytes)) throw new Error('bytes differ')
          }),
        )
      } else if (pick < 0.5) {
        track('wait', reader.wait(size))
      } else if (pick < 0.7) {
        connection.write(outgoing.take(size))
        track('drain', writer.drained())
      } else if (pick < 0.8) {
        track('drain', writer.drained())
      } else {
        // Little enough that reads have to wait for it.
        await peer.send(source.take(randomSize(random, 6_000)))
        if (pick < 0.9) await turn()
      }
      if (call === count - 10) for (let time = 0; time < 3; time++) track('end', connection.closed)
    }
    await peer.send(source.take(3_000))
    await writer.drained()
    for (let time = 0; time < 5; time++) track('end', connection.close())
    await within(Promise.all(all), 'each promise')
    const sum = Object.values(settled).reduce((one, other) => one + other)
    t.is(sum, all.length)
    t.log(settled)
    const codes = 'ERR_NODEPOLL_CONCURRENT_READ|ERR_NODEPOLL_CONNECTION_CLOSED'
    const allowed = new RegExp(`^(read|wait) (resolves|${codes})$|^(drain|end) resolves$`)
    t.deepEqual(
      Object.keys(settled).filter((outcome) => !allowed.test(outcome)),
      [],
    )
    t.true((settled['read ERR_NODEPOLL_CONCURRENT_READ'] ?? 0) > 0)
    t.is(connection.bytesRead - input.length, incoming.position)
    await eventually(() => echoed.position === outgoing.position, 'all that was written')
    t.true(isExact)
  },
)

test.serial('the stack of a rejected read leads to the function that awaits it', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  async function readsTheHeader(): Promise<Buffer> {
    return await connection.reader.next(4)
  }
  const reading = failureOf(readsTheHeader())
  await turn()
  peer.end()
  t.regex((await reading).stack ?? '', /readsTheHeader/)
  t.regex((await failureOf(readsTheHeader())).stack ?? '', /readsTheHeader/)
})

test.serial('a read inside onRequest gets the rest of a message that came in parts', async (t) => {
  await leakCheck(t)
  const messages: string[] = []
  const { peer } = await openPair(t, {
    async onRequest({ reader }) {
      const size = (await reader.next(4)).readUInt32BE()
      messages.push(await reader.readString(size))
    },
  })
  const bytes = Buffer.concat(
    ['one', 'two and more', 'x'.repeat(100_000)].flatMap((text) => {
      const header = Buffer.alloc(4)
      header.writeUInt32BE(text.length)
      return [header, Buffer.from(text)]
    }),
  )
  for (let at = 0; at < bytes.length; at += at < 40 ? 1 : 9_999) {
    await peer.send(bytes.subarray(at, at + (at < 40 ? 1 : 9_999)))
  }
  await eventually(() => messages.length === 3, 'three messages')
  t.deepEqual(
    messages.map(({ length }) => length),
    [3, 12, 100_000],
  )
})

test('H108: reads and drains that nobody awaits do not end the process', async (t) => {
  const outcome = await runChild(
    t,
    `
    import { connect } from 'node:net'
    import { once } from 'node:events'
    import { serve } from 'nodepoll'
    let ended = 0
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onConnect(connection) {
        connection.addCloseCallback(() => void ended++)
        connection.reader.next(10)
        connection.reader.next(10)
        connection.reader.wait(-1)
        connection.write(Buffer.alloc(8 << 20))
        connection.writer.drained()
      },
      onDisconnect() {},
    })
    const sockets = Array.from({ length: 100 }, () => connect(server.address.port, '127.0.0.1'))
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    while (server.loop.connectionCount < 100) await new Promise((next) => setImmediate(next))
    for (const socket of sockets) socket.resetAndDestroy()
    while (server.loop.connectionCount > 0) await new Promise((next) => setImmediate(next))
    await server.shutdown()
    console.log(ended)
    `,
  )
  t.deepEqual(outcome, { code: 0, signal: null, stdout: '100\n', stderr: '' })
})
