import test from 'ava'
import { type Connection, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { deferred, eventually, failureOf, settled, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, openPair, startNetServer, startServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const MIB = 1 << 20

test.serial(
  'H95: a reply of 4 MiB and FIN arrive although 1 MiB of the request was never read',
  async (t) => {
    await leakCheck(t)
    const server = await startServer(t, {
      async onRequest(connection) {
        const { input, writer } = connection
        if (input.length < 10) return
        input.skip(10)
        writer.writeBinary(new Stream(1).take(4 * MIB)).flush()
        await connection.close()
      },
    })
    for (let round = 0; round < 10; round++) {
      const peer = await Peer.connect(t, server.address)
      peer.socket.write(new Stream(2).take(MIB))
      const reply = await peer.readToEnd()
      t.is(reply.length, 4 * MIB)
      t.true(new Stream(1).matches(reply))
      t.is(await within(peer.closed, 'an ended socket'), undefined)
    }
  },
)

test.serial(
  'H95: input that goes on coming after close() does not cut the reply off',
  async (t) => {
    await leakCheck(t)
    const server = await startServer(t, {
      onRequest(connection) {
        connection.input.skip(1)
        connection.writer.writeBinary(new Stream(1).take(4 * MIB)).flush()
        void connection.close()
      },
    })
    const peer = await Peer.connect(t, server.address)
    const flood = setInterval(() => peer.socket.write(Buffer.alloc(10_000)), 1)
    t.teardown(() => clearInterval(flood))
    peer.socket.write('x')
    const reply = await peer.readToEnd()
    clearInterval(flood)
    t.is(reply.length, 4 * MIB)
  },
)

test.serial(
  'H115: what is written in the turn of close() arrives whole, 1,000 times',
  async (t) => {
    await leakCheck(t)
    let number = 0
    const server = await startServer(t, {
      onConnect(connection) {
        const seed = number++
        const size = [1, 100, 5_000, 70_000][seed % 4] as number
        const stream = new Stream(seed)
        const header = Buffer.alloc(8)
        header.writeUInt32BE(seed)
        header.writeUInt32BE(size, 4)
        connection.write(header)
        connection.write(stream.take(size))
        void connection.close()
      },
    })
    for (let round = 0; round < 20; round++) {
      const clients = Array.from({ length: 50 }, async () => {
        const peer = await Peer.connect(t, server.address)
        const reply = await peer.readToEnd()
        const stream = new Stream(reply.readUInt32BE())
        if (reply.length !== reply.readUInt32BE(4) + 8) t.fail(`${reply.length} bytes`)
        if (!stream.matches(reply.subarray(8))) t.fail('bytes differ')
      })
      await Promise.all(clients)
    }
    t.is(number, 1000)
  },
)

test.serial('H115: a write to another connection in a close callback arrives', async (t) => {
  await leakCheck(t)
  const first = await openPair(t)
  const second = await openPair(t)
  first.connection.addCloseCallback(() => void second.connection.write('it has gone'))
  first.peer.end()
  t.is((await second.peer.read(11)).toString(), 'it has gone')
})

test.serial(
  'H115: output that was flushed before a long computation arrives after it',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    connection.write('flushed')
    const end = performance.now() + 100
    while (performance.now() < end);
    t.is((await peer.read(7)).toString(), 'flushed')
  },
)

test.serial(
  'H115: what was written before a handler throws is dropped, or arrives whole',
  async (t) => {
    await leakCheck(t)
    const errors: unknown[] = []
    const server = await startServer(t, {
      async onRequest(connection) {
        const { input } = connection
        const isLater = input.readByte() === 1
        connection.write('a reply')
        if (isLater) await connection.writer.drained()
        throw new Error('after the reply')
      },
      onError: (error) => errors.push(error),
    })
    for (let round = 0; round < 100; round++) {
      const peer = await Peer.connect(t, server.address)
      await peer.send(Buffer.of(round % 2))
      const reply = await peer.readToEnd()
      // What the kernel has taken before the end is sent. The rest is dropped, and not torn.
      if (round % 2 === 1 || reply.length > 0) t.is(reply.toString(), 'a reply')
      await peer.closed
    }
    t.is(errors.length, 100)
  },
)

test.serial("H115: a last write leaves although only what is unref'd remains", async (t) => {
  await leakCheck(t)
  let heard = Buffer.alloc(0)
  const { port } = await startNetServer(t, (socket) => {
    socket.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])))
  })
  for (let round = 0; round < 5; round++) {
    const outcome = await runChild(
      t,
      `
      import { dial } from 'nodepoll'
      const connection = await dial({ host: '127.0.0.1', port: ${port} })
      connection.unref()
      setTimeout(() => connection.write('last words ${round}. '), ${5 * round})
      `,
    )
    t.deepEqual(outcome, { code: 0, signal: null, stdout: '', stderr: '' })
  }
  const expected = [0, 1, 2, 3, 4].map((round) => `last words ${round}. `).join('')
  await eventually(
    () => heard.toString() === expected,
    () => heard.toString(),
  )
  t.pass()
})

test.serial(
  'close() settles once the peer has ended too; every call gives the same promise',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const closing = connection.close()
    t.false(connection.isActive)
    t.is(connection.close(), closing)
    await within(closing, 'the end')
    t.deepEqual(await connection.closed, { by: 'local' })
    t.is(connection.close(), closing)
    t.is((await peer.readToEnd()).length, 0)
  },
)

test.serial('close() gives up waiting for a peer that never ends', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, {}, { allowHalfOpen: true })
  const began = performance.now()
  await within(connection.close(), 'the end', 3_000)
  t.true(performance.now() - began > 500)
  t.is((await peer.readToEnd()).length, 0)
  peer.socket.destroy()
})

test.serial('close() drops what was not flushed', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  connection.write('flushed')
  connection.writer.writeString('not flushed')
  await within(connection.close(), 'the end')
  t.is((await peer.readToEnd()).toString(), 'flushed')
})

test.serial('input that comes after close() is neither shown nor handled', async (t) => {
  await leakCheck(t)
  let requests = 0
  const { connection, peer } = await openPair(
    t,
    { onRequest: () => void requests++ },
    { allowHalfOpen: true },
  )
  const closing = connection.close()
  await peer.readToEnd()
  peer.end('too late')
  await within(closing, 'the end')
  await turn()
  t.is(requests, 0)
  t.is(connection.input.length, 0)
})

test.serial('H116: a handler may await close() and closed', async (t) => {
  await leakCheck(t)
  const order: string[] = []
  const ended = deferred()
  const { peer } = await openPair(t, {
    async onRequest(connection) {
      connection.addCloseCallback(() => {
        order.push('close callback')
        ended.resolve()
      })
      connection.write('bye')
      await connection.close()
      order.push('close')
      await connection.closed
      order.push('closed')
    },
  })
  await peer.send('end it')
  t.is((await peer.readToEnd()).toString(), 'bye')
  await within(ended.promise, 'the close callback')
  t.deepEqual(order, ['close', 'closed', 'close callback'])
})

test.serial('H116: onConnect may await close(), and onRequest does not run then', async (t) => {
  await leakCheck(t)
  let requests = 0
  const ended = deferred()
  const server = await startServer(t, {
    async onConnect(connection) {
      connection.addCloseCallback(() => ended.resolve())
      await connection.close()
    },
    onRequest: () => void requests++,
  })
  const peer = await Peer.connect(t, server.address)
  peer.socket.write('anybody there?')
  await within(ended.promise, 'the close callback')
  t.is(requests, 0)
})

test.serial('destroy() drops what waits, and the reason is ours', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  connection.write(Buffer.alloc(32 * MIB))
  connection.destroy()
  t.false(connection.isActive)
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'local' })
  peer.socket.resume()
  await within(peer.closed, 'an ended socket')
  t.true(peer.bytesReceived < 32 * MIB)
})

test.serial('destroy(error) makes the error the reason, and keeps the first one', async (t) => {
  await leakCheck(t)
  const { connection } = await openPair(t)
  const error = new Error('not good enough')
  connection.destroy(error)
  connection.destroy(new Error('a second one'))
  void connection.close()
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'error', error })
  const failure = await failureOf(connection.reader.next(1))
  t.is(failure, error)
})

test.serial('destroy() cuts a close() short that waits for the peer', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  connection.write(Buffer.alloc(32 * MIB))
  const closing = connection.close()
  await turn()
  connection.destroy()
  await within(closing, 'the end', 900)
  t.deepEqual(await connection.closed, { by: 'local' })
})

test.serial(
  'H107: waiting reads, drained() and closed settle when the connection is destroyed',
  async (t) => {
    await leakCheck(t)
    const pairs: Connection[] = []
    for (let index = 0; index < 20; index++) {
      const { connection, peer } = await openPair(t)
      peer.socket.pause()
      pairs.push(connection)
    }
    const pending = pairs.flatMap((connection) => {
      connection.write(Buffer.alloc(16 * MIB))
      return [
        failureOf(connection.reader.next(1)),
        failureOf(connection.writer.drained()),
        failureOf(connection.writer.drained()),
        connection.closed,
      ]
    })
    await settled(() => stats().bytesWritten)
    for (const connection of pairs) connection.destroy()
    const outcomes = await within(Promise.all(pending), 'every promise', 1_000)
    const closedCode = 'ERR_NODEPOLL_CONNECTION_CLOSED'
    for (let index = 0; index < outcomes.length; index += 4) {
      const [read, drained, again, closed] = outcomes.slice(index, index + 4)
      t.like(read, { code: closedCode })
      t.like(drained, { code: closedCode })
      t.like(again, { code: closedCode })
      t.deepEqual(closed, { by: 'local' })
    }
  },
)

test.serial('a dialled connection closes as an accepted one does', async (t) => {
  await leakCheck(t)
  const ended = deferred<string>()
  const { port } = await startNetServer(t, (socket) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.on('end', () => ended.resolve(text))
  })
  const connection = await dialTo(t, port)
  connection.write('good bye')
  await within(connection.close(), 'the end')
  t.deepEqual(await connection.closed, { by: 'local' })
  t.is(await within(ended.promise, 'FIN'), 'good bye')
})
