import { setTimeout as later } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { type Connection, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { block, codeOf, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const KIB = 1 << 10
const MIB = 1 << 20
const READ_TIMEOUT = 'ERR_NODEPOLL_READ_TIMEOUT'
const WRITE_TIMEOUT = 'ERR_NODEPOLL_WRITE_TIMEOUT'

/** Milliseconds until a promise rejects, and with which code. */
async function timeOf(promise: PromiseLike<unknown>): Promise<{ ms: number; code: string }> {
  const began = performance.now()
  const error = await failureOf(promise)
  return { ms: performance.now() - began, code: String(codeOf(error)) }
}

/** Has more pending than the kernel takes from a peer that does not read, which may be 36 MiB. */
function fill({ writer }: Connection, bytes = 48 * MIB): Buffer {
  const sent = new Stream(41).take(bytes)
  writer.writeBinary(sent).flush()
  return sent
}

test.serial(
  'a read that waits too long rejects, consumes nothing, and can be repeated',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t, { readTimeoutMs: 60 })
    const { reader } = connection
    await peer.send('abc')
    await within(reader.wait(3), 'three bytes')
    const reads = {
      next: () => reader.next(4),
      readString: () => reader.readString(10),
      wait: () => reader.wait(4),
      until: () => reader.until(10),
      readUInt32BE: () => reader.readUInt32BE(),
      iterate: async () => {
        reader.skip(3).catch(() => {})
        for await (const _ of reader) await turn()
      },
    }
    for (const [name, read] of Object.entries(reads)) {
      const { ms, code } = await timeOf(read())
      t.is(code, READ_TIMEOUT, name)
      t.true(ms >= 59, `${name}: not before its time, but after ${ms} ms`)
      t.is(reader.length, name === 'iterate' ? 0 : 3, name)
      t.true(connection.isActive)
    }
    await peer.send('defgh')
    t.is(await within(reader.readString(5), 'the rest'), 'defgh')
  },
)

test.serial('the stack of a read timeout leads to the caller', async (t) => {
  const { connection } = await openPair(t, { readTimeoutMs: 5 })
  async function whoReads(): Promise<void> {
    await connection.reader.next(1)
  }
  t.regex((await failureOf(whoReads())).stack ?? '', /whoReads/)
})

test.serial('what is there is read at once, however late it is', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { readTimeoutMs: 1 })
  connection.setReadDeadline(0)
  await peer.send('abc')
  await eventually(() => connection.input.length === 3, 'three bytes')
  t.is(await connection.reader.readString(2), 'ab')
  t.is((await timeOf(connection.reader.readString(2))).code, READ_TIMEOUT)
  connection.setReadDeadline(null)
  t.is(await connection.reader.readString(1), 'c')
})

test.serial('H40: what came while JavaScript was busy has come in time', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { readTimeoutMs: 50 })
  for (let round = 0; round < 20; round++) {
    const reading = connection.reader.readString(4)
    reading.catch(() => {})
    await peer.send('data')
    block(80)
    t.is(await within(reading, 'the read'), 'data')
  }
})

test.serial('H40, H104: reads that time out at random moments lose no byte', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const total = 4 * MIB
  const source = new Stream(40)
  const sending = (async () => {
    for (let count = 0; source.position < total; count++) {
      const size = [1, 60, 3_000, 64 * KIB][count % 4] as number
      await peer.send(source.take(Math.min(size, total - source.position)))
      if (count % 5 === 0) await later(8)
    }
  })()
  const expected = new Stream(40)
  let timeouts = 0
  for (let round = 0; expected.position < total; round++) {
    const size = Math.min(
      [1, 7, 500, 20_000, 64 * KIB][round % 5] as number,
      total - expected.position,
    )
    connection.setReadTimeout(round % 3 === 0 ? 1 : 0)
    const before = connection.bytesRead - connection.input.length
    try {
      const bytes = await within(connection.reader.readBinary(size), 'a read')
      if (!expected.matches(bytes)) throw new Error('wrong bytes')
    } catch (error) {
      if (codeOf(error) !== READ_TIMEOUT) throw error
      timeouts++
      t.is(connection.bytesRead - connection.input.length, before, 'nothing was consumed')
    }
  }
  await sending
  t.true(timeouts > 0)
  t.log(`${timeouts} timeouts`)
})

test.serial('H102: a changed timeout or deadline is that of the waiting read, too', async (t) => {
  await leakCheck(t)
  const { connection } = await openPair(t)
  const { reader } = connection
  let reading = timeOf(reader.next(1))
  await later(30)
  connection.setReadTimeout(60)
  let { ms, code } = await reading
  t.is(code, READ_TIMEOUT)
  t.true(ms >= 59 && ms < 1000, `it counts from the call: ${ms} ms`)

  reading = timeOf(reader.next(1))
  connection.setReadTimeout(2 ** 31 - 1)
  await later(80)
  connection.setReadDeadline(new Date(Date.now() + 20))
  ;({ ms, code } = await reading)
  t.is(code, READ_TIMEOUT)
  t.true(ms >= 99, `not before the deadline, but after ${ms} ms`)

  connection.setReadDeadline(Date.now() + 1e12).setReadTimeout(1)
  const still = reader.next(1)
  t.is(await Promise.race([still.catch(() => 'failed'), later(50, 'waits')]), 'waits')
  connection.setReadDeadline(null)
  t.is(codeOf(await failureOf(still)), READ_TIMEOUT)
})

test.serial('H68: a clock that is set does not matter afterwards', async (t) => {
  await leakCheck(t)
  const { connection } = await openPair(t, { readTimeoutMs: 100, idleTimeoutMs: 60_000 })
  const real = Date.now
  t.teardown(() => (Date.now = real))
  for (const off of [86_400_000, -86_400_000]) {
    connection.setReadDeadline(null)
    const reading = timeOf(connection.reader.next(1))
    Date.now = () => real() + off
    let { ms } = await reading
    t.true(ms >= 99 && ms < 5_000, `a timeout of 100 ms took ${ms}`)
    Date.now = real
    connection.setReadDeadline(Date.now() + 100)
    const waiting = timeOf(connection.reader.next(1))
    Date.now = () => real() + off
    ;({ ms } = await waiting)
    t.true(ms >= 99 && ms < 5_000, `a deadline in 100 ms came after ${ms}`)
    Date.now = real
  }
  t.true(connection.isActive)
})

test.serial(
  'H41: drained() that has waited too long rejects, and a later one tells the truth',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t, { writeTimeoutMs: 60 })
    const { writer } = connection
    peer.socket.pause()
    const first = fill(connection)
    const { ms, code } = await timeOf(writer.drained())
    t.is(code, WRITE_TIMEOUT)
    t.true(ms >= 59, `not before its time, but after ${ms} ms`)
    t.true(connection.isActive)
    t.true(writer.pendingLength > 0, 'the bytes stay queued')
    const second = fill(connection, MIB)
    let isDrained = false
    connection.setWriteTimeout(0)
    const drained = writer.drained().then(() => (isDrained = true))
    await later(80)
    t.false(isDrained, 'the peer has not read')
    peer.socket.resume()
    t.true((await peer.read(first.length)).equals(first))
    t.true((await peer.read(second.length)).equals(second))
    await within(drained, 'drained()')
    t.is(writer.pendingLength, 0)
  },
)

test.serial('each drained() has its own time, and a deadline wins over it', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { writeTimeoutMs: 100 })
  const { writer } = connection
  peer.socket.pause()
  fill(connection)
  const first = timeOf(writer.drained())
  await later(50)
  const second = timeOf(writer.drained())
  t.true((await first).ms >= 99)
  t.true((await second).ms >= 99)
  connection.setWriteDeadline(Date.now() + 30)
  const { ms, code } = await timeOf(writer.drained())
  t.is(code, WRITE_TIMEOUT)
  t.true(ms < 95, `the deadline has passed after ${ms} ms`)
  connection.setWriteDeadline(Date.now() + 1e9)
  const still = writer.drained()
  t.is(await Promise.race([still.catch(() => 'failed'), later(150, 'waits')]), 'waits')
  connection.destroy()
  t.is(codeOf(await failureOf(still)), 'ERR_NODEPOLL_CONNECTION_CLOSED')
})

test.serial('close() sends for no longer than the write timeout says, then resets', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { writeTimeoutMs: 100 })
  peer.socket.pause()
  fill(connection, 32 * MIB)
  const began = performance.now()
  await within(connection.close(), 'close()')
  const ms = performance.now() - began
  t.true(ms >= 99 && ms < 10_000, `it took ${ms} ms`)
  t.deepEqual(await connection.closed, { by: 'local' })
  peer.socket.resume()
  await within(peer.closed, 'the peer ends')
  t.true(peer.bytesReceived < 32 * MIB, 'the rest was dropped')
})

const treatments: Record<string, Parameters<typeof openPair>[1]> = {
  'without handlers': {},
  'with a handler': { onRequest: ({ input }) => input.skip(input.length) },
  'with a handler that is pending': {
    onConnect: () => new Promise((done) => setTimeout(done, 700)),
  },
}

for (const [name, options] of Object.entries(treatments)) {
  test.serial(`H101: a silent peer is left after the idle timeout, ${name}`, async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t, { ...options, idleTimeoutMs: 200 })
    const began = performance.now()
    let isAborted = false
    connection.signal.addEventListener('abort', () => (isAborted = true))
    const reading = failureOf(connection.reader.next(1))
    t.deepEqual(await within(connection.closed, 'the end'), { by: 'timeout' })
    const ms = performance.now() - began
    t.true(ms > 150 && ms < 5_000, `after ${ms} ms`)
    t.true(isAborted)
    t.is(codeOf(await reading), 'ERR_NODEPOLL_CONNECTION_CLOSED')
    t.is((await peer.readToEnd()).length, 0, 'it ends with FIN')
  })
}

test.serial('H101: traffic in one direction alone keeps a connection', async (t) => {
  await leakCheck(t)
  for (const isInput of [true, false]) {
    const { connection, peer } = await openPair(t, {
      idleTimeoutMs: 300,
      onRequest: ({ input }) => input.skip(input.length),
    })
    for (let round = 0; round < 10; round++) {
      if (isInput) await peer.send('x')
      else connection.write('x')
      await later(80)
    }
    t.true(connection.isActive)
    await within(connection.closed, 'the end')
  }
})

test.serial('an idle timeout can be set, moved and taken back at any time', async (t) => {
  await leakCheck(t)
  const { connection } = await openPair(t)
  connection.setIdleTimeout(50).setIdleTimeout(60_000)
  await later(100)
  connection.setIdleTimeout(50)
  connection.setIdleTimeout(0)
  await later(100)
  t.true(connection.isActive)
  connection.setIdleTimeout(50)
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'timeout' })
})

test.serial('an idle timeout that is moved in the last moment is not kept to', async (t) => {
  const { stdout, stderr } = await runChild(
    t,
    `
    import { connect } from 'node:net'
    import { configure, serve } from 'nodepoll'
    configure({ host: 'thread' })
    let opened
    const connected = new Promise((resolve) => (opened = resolve))
    const server = await serve({ host: '127.0.0.1', onConnect: (connection) => opened(connection) })
    const peer = connect(server.address.port, '127.0.0.1')
    const connection = await connected
    connection.setIdleTimeout(20)
    await new Promise((done) => setTimeout(done, 5))
    // Meanwhile the thread finds it idle, and says so.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    connection.setIdleTimeout(60_000)
    await new Promise((done) => setTimeout(done, 100))
    console.log(connection.isActive)
    peer.destroy()
    await server.shutdown()
    `,
  )
  t.is(stdout.trim(), 'true', stderr)
})

test.serial('an idle timeout leaves a peer that takes nothing, and resets it', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { idleTimeoutMs: 150 })
  peer.socket.pause()
  fill(connection, 32 * MIB)
  t.deepEqual(await within(connection.closed, 'the end', 5_000), { by: 'timeout' })
  peer.socket.resume()
  await within(peer.closed, 'the peer ends')
  t.true(peer.bytesReceived < 32 * MIB, 'the rest was dropped')
})

test.serial('H91: idle timeouts of connections that have closed reach no later one', async (t) => {
  await leakCheck(t)
  const reasons: string[] = []
  const rounds = 40
  for (let round = 0; round < rounds; round++) {
    const pairs = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        openPair(t, { idleTimeoutMs: index % 2 === 0 ? 20 : 0 }),
      ),
    )
    await later(15 + (round % 10))
    for (const [index, { connection }] of pairs.entries()) {
      if (index % 2 === 1 && !connection.isActive) {
        reasons.push((await connection.closed).by)
      }
      connection.destroy()
    }
    await Promise.all(pairs.map(({ connection }) => connection.closed))
  }
  t.deepEqual(reasons, [])
})

test.serial('H10: armed timeouts cost nothing while nothing happens', async (t) => {
  await leakCheck(t)
  const pairs = await Promise.all(Array.from({ length: 50 }, () => openIdle(t)))
  await later(50)
  const before = stats()
  await later(500)
  const after = stats()
  t.true(after.turns - before.turns < 5, `${after.turns - before.turns} turns`)
  t.true(after.wakeupsOfHost - before.wakeupsOfHost < 5)
  for (const connection of pairs) connection.destroy()
})

async function openIdle(t: ExecutionContext): Promise<Connection> {
  const { connection } = await openPair(t, { idleTimeoutMs: 60_000, readTimeoutMs: 60_000 })
  connection.reader.next(1).catch(() => {})
  return connection
}

test.serial('H114: timeouts are kept while memory is short', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const { connection, peer } = await openPair(t, {
    readTimeoutMs: 50,
    async onRequest({ reader }) {
      t.is(codeOf(await failureOf(reader.next(MIB))), READ_TIMEOUT)
      gate.resolve()
    },
  })
  await peer.send('x')
  await within(gate.promise, 'the handler')
  t.is(connection.input.length, 1)
})
