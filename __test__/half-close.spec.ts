import test from 'ava'
import { type Connection, serve } from 'nodepoll'

import { codeOf, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, openPair, startServer, temporaryPath } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const MIB = 1 << 20
const CLOSED = 'ERR_NODEPOLL_CONNECTION_CLOSED'
const EOF = 'ERR_NODEPOLL_EOF'

for (const kind of ['TCP', 'unix']) {
  for (const allowHalfOpen of [false, true]) {
    test.serial(
      `H75: a request with FIN gets its whole reply, ${kind}, allowHalfOpen ${allowHalfOpen}`,
      async (t) => {
        await leakCheck(t)
        const reply = new Stream(75).take(8 * MIB)
        const server = await startServer(t, {
          ...(kind === 'unix' ? { path: temporaryPath(t) } : {}),
          allowHalfOpen,
          async onRequest(connection) {
            const { input, writer } = connection
            if (input.readString(input.length) !== 'request') throw new Error('half a request')
            await turn()
            writer.writeBinary(reply).flush()
            if (allowHalfOpen) void connection.close()
          },
        })
        const peer = await Peer.connect(t, server.address, { allowHalfOpen: true })
        peer.socket.pause()
        peer.end('request')
        await turn()
        peer.socket.resume()
        t.true((await peer.readToEnd()).equals(reply))
        t.is(await within(peer.closed, 'the end'), undefined)
      },
    )
  }

  test.serial(
    `H75: closeWrite() sends what was flushed, then FIN, and reading goes on, ${kind}`,
    async (t) => {
      await leakCheck(t)
      const where = kind === 'unix' ? { path: temporaryPath(t) } : {}
      const { connection, peer } = await openPair(t, where, { allowHalfOpen: true })
      peer.socket.pause()
      const sent = new Stream(76).take(8 * MIB)
      connection.writer.writeBinary(sent).flush()
      connection.writer.writeString('never flushed')
      const closing = connection.closeWrite()
      t.is(connection.closeWrite(), closing, 'each call gives the same promise')
      t.true(connection.isActive)
      t.throws(() => connection.write('late'), { code: CLOSED })
      t.throws(() => connection.writer.flush(), { code: CLOSED })
      peer.socket.resume()
      t.true((await peer.readToEnd()).equals(sent))
      await within(closing, 'closeWrite()')
      await peer.send('an answer')
      t.is(await within(connection.reader.readString(9), 'the answer'), 'an answer')
      t.true(connection.isActive)
      peer.end('last words')
      t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
      t.is(connection.input.readString(10), 'last words')
      t.is(codeOf(await failureOf(connection.reader.next(1))), EOF)
    },
  )
}

test.serial('both sides half-close: one end, whoever is first, whatever is allowed', async (t) => {
  await leakCheck(t)
  for (const allowHalfOpen of [false, true]) {
    for (const isFirst of [false, true]) {
      let disconnects = 0
      const callbacks: string[] = []
      const { connection, peer } = await openPair(
        t,
        { allowHalfOpen, onDisconnect: () => void disconnects++ },
        { allowHalfOpen: true },
      )
      connection.addCloseCallback((_, { by }) => void callbacks.push(by))
      if (isFirst) {
        await connection.closeWrite()
        await peer.readToEnd()
        peer.end()
      } else {
        peer.end()
        if (allowHalfOpen) {
          t.is(codeOf(await failureOf(connection.reader.next(1))), EOF)
          t.true(connection.isActive)
          await connection.closeWrite()
        }
        await peer.readToEnd()
      }
      t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
      await eventually(() => callbacks.length > 0, 'the close callback')
      t.deepEqual(callbacks, ['peer'])
      t.is(disconnects, allowHalfOpen ? 0 : 1)
    }
  }
})

test.serial('with allowHalfOpen a FIN only ends the input', async (t) => {
  await leakCheck(t)
  let disconnects = 0
  let requests = 0
  const { connection, peer } = await openPair(
    t,
    {
      allowHalfOpen: true,
      onRequest: ({ input }) => {
        requests++
        input.skip(input.length)
      },
      onDisconnect: () => void disconnects++,
    },
    { allowHalfOpen: true },
  )
  const reading = failureOf(connection.reader.next(100))
  peer.end('abc')
  t.is(codeOf(await reading), EOF)
  t.true(connection.isActive)
  t.false(connection.signal.aborted)
  t.is(disconnects, 0)
  await eventually(() => requests === 1, 'what had come is handled')
  // From outside of any handler, long after the FIN.
  for (let round = 0; round < 3; round++) {
    await turn()
    connection.write('more ')
  }
  t.is((await peer.read(15)).toString(), 'more more more ')
  await connection.close()
  t.deepEqual(await connection.closed, { by: 'local' })
  t.is((await peer.readToEnd()).length, 0)
})

test.serial('with allowHalfOpen a reset after the FIN is reported', async (t) => {
  await leakCheck(t)
  let disconnects = 0
  const { connection, peer } = await openPair(
    t,
    { allowHalfOpen: true, onDisconnect: () => void disconnects++ },
    { allowHalfOpen: true },
  )
  await failureOf(Promise.all([connection.reader.next(1), peer.end()]))
  peer.reset()
  await eventually(() => {
    if (connection.isActive) connection.write('x')
    return !connection.isActive
  }, 'the reset')
  const { by } = await within(connection.closed, 'the end')
  t.is(by, 'error')
  t.is(disconnects, 0, 'the FIN had ended the input')
})

test.serial('with allowHalfOpen a handler that ends on EOF closes its connection', async (t) => {
  await leakCheck(t)
  const errors: unknown[] = []
  const { connection, peer } = await openPair(
    t,
    {
      allowHalfOpen: true,
      async onRequest({ reader, writer }) {
        for (;;) {
          const line = await reader.until(10)
          writer.writeBinary(line).flush()
          reader.release()
        }
      },
      onError: (error) => void errors.push(error),
    },
    { allowHalfOpen: true },
  )
  peer.end('one\ntwo\nthr')
  t.is((await peer.readToEnd()).toString(), 'one\ntwo\n')
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
  t.deepEqual(errors, [])
})

test.serial('shutdown() ends connections whose peer has half-closed', async (t) => {
  await leakCheck(t)
  const { connection, peer, server } = await openPair(
    t,
    { allowHalfOpen: true },
    { allowHalfOpen: true },
  )
  peer.end()
  await failureOf(connection.reader.next(1))
  await within(server.shutdown(), 'shutdown()')
  t.deepEqual(await connection.closed, { by: 'shutdown' })
})

test.serial('shutdown() ends connections that we have half-closed', async (t) => {
  await leakCheck(t)
  const { connection, peer, server } = await openPair(t, {}, { allowHalfOpen: true })
  await connection.closeWrite()
  await peer.readToEnd()
  const shutting = server.shutdown()
  peer.end()
  await within(shutting, 'shutdown()')
  t.is((await connection.closed).by, 'peer')
})

test.serial('closeWrite() that cannot send rejects with the reason, or in time', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t, { writeTimeoutMs: 50 })
  peer.socket.pause()
  connection.write(Buffer.alloc(16 * MIB))
  t.is(codeOf(await failureOf(connection.closeWrite())), 'ERR_NODEPOLL_WRITE_TIMEOUT')
  connection.destroy()
  const other = await openPair(t)
  other.peer.socket.pause()
  other.connection.write(Buffer.alloc(16 * MIB))
  const closing = failureOf(other.connection.closeWrite())
  other.peer.reset()
  t.is((await closing) as NodeJS.ErrnoException, (await other.connection.closed).error as Error)
})

test.serial('a dialled connection half-closes as an accepted one does', async (t) => {
  await leakCheck(t)
  const accepted = deferred<Connection>()
  const server = await serve({
    host: '127.0.0.1',
    allowHalfOpen: true,
    onConnect: (connection) => accepted.resolve(connection),
    async onRequest(connection) {
      connection.input.skip(connection.input.length)
      await failureOf(connection.reader.next(1))
      connection.write('all of it has come')
      await connection.close()
    },
  })
  const client = await dialTo(t, server.address)
  client.write('some input')
  await client.closeWrite()
  const parts: string[] = []
  for await (const chunk of client.reader) parts.push(chunk.toString())
  t.is(parts.join(''), 'all of it has come')
  t.deepEqual(await within(client.closed, 'the end'), { by: 'peer' })
  t.deepEqual(await within((await accepted.promise).closed, 'the end'), { by: 'local' })
  await server.shutdown()
})
