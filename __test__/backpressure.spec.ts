import { setTimeout as later } from 'node:timers/promises'

import test from 'ava'
import { type Connection, stats } from 'nodepoll'

import { codeOf, eventually, failureOf, settled, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { dialTo, openPair, startNetServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const KIB = 1 << 10
const MIB = 1 << 20

/** Waits until nothing more arrives, and tells how much has. */
function arrived(connection: Connection): Promise<number> {
  return settled(() => connection.bytesRead)
}

/** Reads `n` bytes in pieces and compares them. */
async function readAll(connection: Connection, expected: Stream, n: number): Promise<boolean> {
  const { reader } = connection
  let isEqual = true
  for (let rest = n; rest > 0;) {
    const size = Math.min(rest, 100_000)
    isEqual &&= expected.matches(await within(reader.next(size), 'the next bytes'))
    reader.release()
    rest -= size
  }
  return isEqual
}

for (const readBufferMax of [undefined, 1, 64 * KIB, 4 * MIB]) {
  test.serial(
    `H83: a peer that sends 64 MiB is stopped at a readBufferMax of ${readBufferMax ?? 'default'}`,
    async (t) => {
      await leakCheck(t)
      const { connection, peer } = await openPair(
        t,
        readBufferMax === undefined ? {} : { readBufferMax },
      )
      const limit = readBufferMax ?? MIB
      const before = stats().pauses.input
      const sending = peer.send(new Stream(1).take(64 * MIB)).catch(() => 'ended')
      t.is(await arrived(connection), limit)
      t.is(connection.input.length, limit)
      t.true(peer.socket.writableLength > 0, 'the peer waits')
      t.true(stats().pauses.input > before)
      const expected = new Stream(1)
      t.true(await readAll(connection, expected, readBufferMax === 1 ? MIB : 64 * MIB))
      connection.destroy()
      await sending
    },
  )
}

test.serial('H83: a handler that consumes a part keeps the rest below the limit', async (t) => {
  await leakCheck(t)
  const limit = 64 * KIB
  let most = 0
  const expected = new Stream(2)
  const total = 8 * MIB
  let isEqual = true
  const { peer, connection } = await openPair(t, {
    readBufferMax: limit,
    onRequest({ input }) {
      most = Math.max(most, input.length)
      isEqual &&= expected.matches(input.next(Math.min(input.length, 10_000)))
    },
  })
  await peer.send(new Stream(2).take(total))
  await eventually(() => expected.position === total, 'all bytes')
  t.true(isEqual)
  t.true(most <= limit, `${most} bytes`)
  t.is(connection.input.length, 0)
})

test.serial(
  'H82: a read of more than readBufferMax gets it, then the old limit holds',
  async (t) => {
    await leakCheck(t)
    const limit = 64 * KIB
    const { connection, peer } = await openPair(t, { readBufferMax: limit })
    const { reader, input } = connection
    const sent = new Stream(3)
    const expected = new Stream(3)
    const sending = peer.send(sent.take(16 * MIB)).catch(() => 'ended')
    for (const size of [limit - 1, limit, limit + 1, MIB, 3 * MIB + 1]) {
      t.true(expected.matches(await within(reader.next(size), `${size} bytes`)), `${size} bytes`)
      reader.release()
      await arrived(connection)
      t.true(input.length <= limit, `${input.length} bytes after a read of ${size}`)
    }
    connection.destroy()
    await sending
  },
)

test.serial('H82: until() finds a delimiter far beyond readBufferMax', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { readBufferMax: 64 * KIB })
  const line = Buffer.alloc(MIB, 'x')
  await Promise.all([
    peer.send(Buffer.concat([line, Buffer.from('\r\nrest')])),
    within(connection.reader.until(Buffer.from('\r\n')), 'the line').then((found) => {
      t.is(found.length, MIB + 2)
      t.true(found.subarray(0, MIB).equals(line))
    }),
  ])
  t.is(await within(connection.reader.readString(4), 'the rest'), 'rest')
})

test.serial('H82: a read of more than there will ever be room for fails at once', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { reader } = connection
  const most = 256 * MIB
  for (const read of [() => reader.skip(most + 1), () => reader.wait(2 ** 40)]) {
    const failure = await failureOf(within(read(), 'the failure'))
    t.is(codeOf(failure), 'ERR_NODEPOLL_READ_LIMIT')
  }
  const waiting = reader.wait(5)
  await peer.send('hello')
  await within(waiting, 'a read after it')
  t.is(connection.input.readString(5), 'hello')
})

test.serial('a read that waits lies in one node, whatever had come before', async (t) => {
  await leakCheck(t)
  for (const before of [0, 1, 50_000, 200_000]) {
    const { connection, peer } = await openPair(t)
    const { reader, input } = connection
    const total = 1_000_000
    const stream = new Stream(4)
    if (before > 0) await peer.send(stream.take(before))
    await eventually(() => input.length === before, 'the first bytes')
    const copied = stats().bytesCopied
    const reading = reader.next(total)
    // The driver may have got the room only after these.
    await peer.send(stream.take(total - before))
    const bytes = await within(reading, 'the message')
    t.true(new Stream(4).matches(bytes))
    t.true(bytes.buffer.byteLength > bytes.length, 'a view of the arena')
    // What had come before the room was there is put in front of the rest, at most.
    t.true(stats().bytesCopied - copied <= before, `${before} bytes before`)
    connection.destroy()
    await connection.closed
  }
})

test.serial(
  'H29: a view from before stays whole when a waiting read moves its bytes',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { reader, input } = connection
    const stream = new Stream(5)
    await peer.send(stream.take(10_000))
    await eventually(() => input.length === 10_000, 'the first bytes')
    const peeked = input.peek(10_000)
    const reading = reader.next(500_000)
    await peer.send(stream.take(500_000))
    const bytes = await within(reading, 'the message')
    t.true(new Stream(5).matches(bytes))
    t.true(new Stream(5).matches(peeked))
    t.is((await within(reader.next(10_000), 'the rest')).length, 10_000)
  },
)

test.serial('append() and slices on their way to other connections are not copied', async (t) => {
  await leakCheck(t)
  const total = 8 * MIB
  const { port } = await startNetServer(t, (socket) => socket.pipe(socket))
  const backend = await dialTo(t, port)
  const source = await openPair(t, {
    onRequest({ input }) {
      const slice = input.slice(Math.min(input.length, 1000))
      backend.writer.append(slice).append(input).flush()
      slice.close()
    },
  })
  const back = new Stream(6)
  const received = (async () => {
    for await (const chunk of backend.reader) {
      if (!back.matches(chunk)) return false
      if (back.position === total) return true
    }
    return false
  })()
  const copied = stats().bytesCopied
  await source.peer.send(new Stream(6).take(total))
  t.true(await within(received, 'all bytes back'))
  t.is(stats().bytesCopied - copied, 0)
})

test.serial('H71: after pause() nothing is read, and resume() reads without an edge', async (t) => {
  await leakCheck(t)
  const expected = new Stream(7)
  let isEqual = true
  const { connection, peer } = await openPair(t, {
    onRequest(opened) {
      const { input } = opened
      if (expected.position === 0) opened.pause()
      isEqual &&= expected.matches(input.next(input.length))
    },
  })
  const before = stats().pauses.user
  await peer.send(new Stream(7).take(MIB))
  const atPause = await arrived(connection)
  t.true(connection.isPaused)
  const handled = expected.position
  t.true(handled > 0 && handled <= atPause && atPause < MIB)
  await later(100)
  t.is(expected.position, handled, 'onRequest is not called for what was on its way')
  t.true(stats().pauses.user > before)
  t.false(connection.resume().isPaused)
  await eventually(() => expected.position === MIB, 'the rest')
  t.true(isEqual)
})

test.serial('H71: a handler that pauses when it has read all is not called for more', async (t) => {
  await leakCheck(t)
  const total = 8 * MIB
  const expected = new Stream(8)
  let isEqual = true
  let calls = 0
  let early = 0
  const { peer } = await openPair(t, {
    readBufferMax: 4 * MIB,
    onRequest(connection) {
      calls++
      if (connection.isPaused) early++
      isEqual &&= expected.matches(connection.input.next(connection.input.length))
      connection.pause()
      setTimeout(() => connection.resume(), 5)
    },
  })
  await peer.send(new Stream(8).take(total))
  await eventually(() => expected.position === total, 'all of it')
  t.true(isEqual)
  t.true(calls > 1)
  t.is(early, 0)
})

test.serial('H52: pause() in onConnect holds back what the peer sends at once', async (t) => {
  await leakCheck(t)
  for (let round = 0; round < 200; round++) {
    const heard: string[] = []
    const { connection, peer } = await openPair(t, {
      onConnect: (opened) => void opened.pause(),
      onRequest({ input }) {
        heard.push(input.readString(input.length))
      },
    })
    await peer.send('first ')
    await peer.send('second')
    if (round % 50 === 0) await later(50)
    t.deepEqual(heard, [])
    connection.resume()
    await eventually(() => heard.join('') === 'first second', 'both')
    connection.destroy()
    await connection.closed
  }
})

test.serial('H71: thousands of random pauses lose nothing', async (t) => {
  await leakCheck(t)
  const total = 16 * MIB
  const expected = new Stream(8)
  let isEqual = true
  let pauses = 0
  const { connection, peer } = await openPair(t, {
    onRequest(opened) {
      const { input } = opened
      isEqual &&= expected.matches(input.next(Math.min(input.length, 5000)))
      if (pauses % 3 === 0) opened.pause()
      pauses++
      if (pauses % 2 === 0) setImmediate(() => opened.resume())
      else queueMicrotask(() => opened.resume())
    },
  })
  await peer.send(new Stream(8).take(total))
  await eventually(
    () => expected.position === total,
    () => `${expected.position} of ${total}`,
  )
  t.true(isEqual)
  t.true(pauses > 3000)
  connection.resume()
})

test.serial('H10, H71: a FIN while reading is paused comes after the data', async (t) => {
  await leakCheck(t)
  let heard = ''
  const { connection, peer } = await openPair(t, {
    onRequest({ input }) {
      heard += input.readString(input.length)
    },
  })
  connection.pause()
  await settled(() => stats().commands, 30)
  await peer.send('the last words')
  peer.end()
  await later(50)
  t.true(connection.isActive)
  connection.resume()
  t.is((await within(connection.closed, 'the end')).by, 'peer')
  t.is(heard, 'the last words')
})

for (const isHeard of [false, true]) {
  test.serial(
    `H10, H76: a reset is told while reading is paused, with a handler: ${isHeard}`,
    async (t) => {
      await leakCheck(t)
      for (const size of [1, 4 * KIB, 64 * KIB]) {
        const parts: Buffer[] = []
        const { connection, peer } = await openPair(
          t,
          isHeard
            ? { onRequest: ({ input }) => void parts.push(input.readBinary(input.length)) }
            : {},
        )
        connection.pause()
        await settled(() => stats().commands, 30)
        await peer.send(new Stream(9).take(size))
        await later(50)
        peer.reset()
        const { error } = await within(connection.closed, 'the end', 2000)
        t.is(codeOf(error), 'ECONNRESET')
        if (!isHeard) parts.push(await connection.reader.readBinary(size))
        t.true(new Stream(9).matches(Buffer.concat(parts)), `${size} bytes`)
        t.is(codeOf(await failureOf(connection.reader.next(1))), 'ECONNRESET')
      }
    },
  )
}

test.serial('H84: a peer that never reads makes flush() say no, then refuse', async (t) => {
  await leakCheck(t)
  const writeBufferMax = 64 * KIB
  const { connection, peer } = await openPair(t, { writeBufferMax })
  const { writer } = connection
  peer.socket.pause()
  const sent = new Stream(10)
  let refused: unknown
  let saidNo = 0
  while (refused === undefined) {
    t.true(connection.bytesWritten + writer.pendingLength === sent.position)
    writer.writeBinary(sent.take(16 * KIB))
    try {
      const fits = writer.flush()
      t.is(fits, writer.pendingLength <= writeBufferMax)
      if (!fits) saidNo++
    } catch (error) {
      refused = error
    }
    await later(0)
  }
  t.is(codeOf(refused), 'ERR_NODEPOLL_WRITE_LIMIT')
  t.true(saidNo > 60)
  t.true(writer.pendingLength <= 64 * writeBufferMax)
  t.true(writer.pendingLength + writer.mallocLength > 64 * writeBufferMax)
  t.is(writer.mallocLength, 16 * KIB, 'what was written stays')
  t.throws(() => connection.write('withdrawn'), { code: 'ERR_NODEPOLL_WRITE_LIMIT' })
  t.is(writer.mallocLength, 16 * KIB, 'what write() brought is withdrawn')
  peer.socket.resume()
  await within(writer.drained(), 'the peer')
  writer.flush()
  const received = await peer.read(sent.position)
  t.true(new Stream(10).matches(received))
})

test.serial('H84: when nothing is pending, one flush of any size is taken', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { writeBufferMax: KIB })
  peer.socket.pause()
  t.false(connection.write(new Stream(11).take(8 * MIB)))
  await eventually(() => connection.bytesWritten > 0, 'progress')
  t.throws(() => connection.write('x'), { code: 'ERR_NODEPOLL_WRITE_LIMIT' })
  peer.socket.resume()
  t.true(new Stream(11).matches(await peer.read(8 * MIB)))
  await within(connection.writer.drained(), 'all is taken')
  t.true(connection.write('y'))
  t.is((await peer.read(1)).toString(), 'y')
})

test.serial(
  'H84: while 50 peers never read, others are served and memory is bounded',
  async (t) => {
    await leakCheck(t)
    const writeBufferMax = 16 * KIB
    const stuck = await Promise.all(
      Array.from({ length: 50 }, () => openPair(t, { writeBufferMax })),
    )
    for (const { peer } of stuck) peer.socket.pause()
    const other = await openPair(t, {
      onRequest: ({ input, writer }) => void writer.append(input).flush(),
    })
    const block = Buffer.alloc(64 * KIB, 7)
    let refusals = 0
    for (let round = 0; round < 100; round++) {
      for (const { connection } of stuck) {
        try {
          connection.write(block)
        } catch (error) {
          if (codeOf(error) !== 'ERR_NODEPOLL_WRITE_LIMIT') throw error
          refusals++
        }
      }
      await other.peer.send('still here')
      t.is((await other.peer.read(10)).toString(), 'still here')
    }
    t.true(refusals > 0)
    t.true(stats().arenaBytes <= 50 * 64 * writeBufferMax + 16 * MIB)
    for (const { connection } of stuck) connection.destroy()
  },
)
