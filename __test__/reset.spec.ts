import test from 'ava'
import { stats } from 'nodepoll'

import {
  Countdown,
  deferred,
  eventually,
  failureOf,
  settled,
  turn,
  within,
} from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, startServer, temporaryPath } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

for (const size of [1, 4096, 65_536]) {
  test.serial(
    `H76: ${size} bytes that came before a reset are read, then ECONNRESET, never EOF`,
    async (t) => {
      await leakCheck(t)
      const { connection, peer } = await openPair(t)
      await peer.send(new Stream(1).take(size))
      await eventually(() => connection.bytesRead === size, 'the bytes')
      peer.reset()
      const reason = await within(connection.closed, 'the end')
      t.is(reason.by, 'error')
      t.like(reason.error, { code: 'ECONNRESET', name: 'NodepollError', syscall: 'read' })
      t.is(connection.input.length, size)
      t.true(new Stream(1).matches(await connection.reader.next(size)))
      t.is((await failureOf(connection.reader.next(1))) as unknown, reason.error)
    },
  )

  test.serial(
    `H76: a larger read that waits rejects with ECONNRESET and leaves ${size} bytes`,
    async (t) => {
      await leakCheck(t)
      const { connection, peer } = await openPair(t)
      const reading = failureOf(connection.reader.next(size + 1))
      await peer.send(new Stream(1).take(size))
      await eventually(() => connection.bytesRead === size, 'the bytes')
      peer.reset()
      t.like(await reading, { code: 'ECONNRESET' })
      t.true(new Stream(1).matches(connection.input.readBinary(size)))
    },
  )
}

test.serial(
  'H15, H76: a reset during a running handler leaves the input readable, and writing throws',
  async (t) => {
    await leakCheck(t)
    const done = deferred()
    const seen: unknown[] = []
    const { connection, peer } = await openPair(t, {
      async onRequest(own) {
        await own.closed
        seen.push(own.input.readString(7), own.isActive)
        try {
          own.write('too late')
        } catch (error) {
          seen.push((error as { code: string }).code)
        }
        done.resolve()
      },
    })
    await peer.send('request')
    await eventually(() => connection.bytesRead === 7, 'the bytes')
    peer.reset()
    await within(done.promise, 'the handler')
    t.deepEqual(seen, ['request', false, 'ERR_NODEPOLL_CONNECTION_CLOSED'])
  },
)

test.serial(
  'a handler that fails because its connection was reset is no error of its own',
  async (t) => {
    await leakCheck(t)
    const errors: unknown[] = []
    const ended = deferred()
    const { connection, peer } = await openPair(t, {
      async onRequest(own) {
        own.addCloseCallback(() => ended.resolve())
        await own.reader.next(100)
      },
      onError: (error) => void errors.push(error),
    })
    await peer.send('request')
    await eventually(() => connection.bytesRead === 7, 'the bytes')
    peer.reset()
    await within(ended.promise, 'the close callback')
    t.like((await connection.closed).error, { code: 'ECONNRESET' })
    t.deepEqual(errors, [])
  },
)

test.serial('drained() rejects with the error when the peer resets', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  connection.write(Buffer.alloc(16 << 20))
  const draining = failureOf(connection.writer.drained())
  await settled(() => stats().bytesWritten)
  peer.reset()
  const error = await draining
  t.regex((error as NodeJS.ErrnoException).code ?? '', /^(ECONNRESET|EPIPE)$/)
  t.is((await connection.closed).error, error)
})

test.serial('H98: after 500 clients that reset at once, 50 normal ones are served', async (t) => {
  await leakCheck(t)
  const all = new Countdown(50)
  const server = await startServer(t, {
    onRequest(connection) {
      connection.writer.append(connection.input).flush()
    },
    onDisconnect: (connection) => {
      if (connection.bytesRead > 0) all.pass()
    },
  })
  for (let round = 0; round < 10; round++) {
    const clients = Array.from({ length: 50 }, () => Peer.connect(t, server.address))
    for (const peer of await Promise.all(clients)) peer.reset()
  }
  for (let index = 0; index < 50; index++) {
    const peer = await Peer.connect(t, server.address)
    await peer.send('hello')
    t.is((await peer.read(5)).toString(), 'hello')
    peer.end()
  }
  await within(all.reached, 'all ends')
})

test.serial('onDisconnect hears of a reset once, before the close callbacks', async (t) => {
  await leakCheck(t)
  const order: string[] = []
  const ended = deferred()
  const { connection, peer } = await openPair(t, {
    onDisconnect: () => void order.push('disconnect'),
  })
  connection.addCloseCallback((_, reason) => {
    order.push(reason.by)
    ended.resolve()
  })
  peer.reset()
  await within(ended.promise, 'the close callback')
  t.deepEqual(order, ['disconnect', 'error'])
})

test.serial('reset() shows as RST at the peer, and close() does not', async (t) => {
  await leakCheck(t)
  for (let round = 0; round < 20; round++) {
    const { connection, peer } = await openPair(t)
    connection.reset()
    t.false(connection.isActive)
    t.like(await within(peer.closed, 'an ended socket'), { code: 'ECONNRESET' })
    t.deepEqual(await within(connection.closed, 'the end'), { by: 'local' })
  }
})

test.serial('reset() cuts a close() short and drops what waits', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  connection.write(Buffer.alloc(32 << 20))
  const closing = connection.close()
  await turn()
  connection.reset()
  await within(closing, 'the end', 900)
  peer.socket.resume()
  // A peer that has unread data may be told of the reset or, by its kernel, of an end.
  await within(peer.closed, 'an ended socket')
  t.true(peer.bytesReceived < 32 << 20)
})

test.serial('reset() of a unix socket ends it as destroy() does', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { path: temporaryPath(t) })
  connection.reset()
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'local' })
  t.is(await within(peer.closed, 'an ended socket'), undefined)
})
