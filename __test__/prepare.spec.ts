import { AsyncLocalStorage } from 'node:async_hooks'
import { connect } from 'node:net'

import test from 'ava'
import { type CloseReason, type Connection, type EventLoopOptions, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { codeOf, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, portOf, startServer } from './helpers/server.ts'

test.serial('H14: onPrepare comes first, and its value is the context of the others', async (t) => {
  await leakCheck(t)
  const order: string[] = []
  const { peer, connection } = await openPair<{ name: string }>(t, {
    onPrepare(opened) {
      order.push(`prepare ${opened.isActive} ${opened.bytesRead}`)
      opened.addCloseCallback(() => void order.push('close callback'))
      return { name: 'prepared' }
    },
    onConnect(_, context) {
      order.push(`connect ${context.name}`)
      return { name: 'connected' }
    },
    onRequest({ input }, context) {
      order.push(`request ${context.name} ${input.readString(input.length)}`)
    },
    onDisconnect: (_, context) => void order.push(`disconnect ${context.name}`),
  })
  peer.end('abc')
  await within(connection.closed, 'the end')
  await eventually(() => order.includes('close callback'), 'the close callback')
  t.deepEqual(order, [
    'prepare true 0',
    'connect prepared',
    'request connected abc',
    'disconnect connected',
    'close callback',
  ])
})

test.serial('the context of onPrepare stays where onConnect returns nothing', async (t) => {
  await leakCheck(t)
  const seen = deferred<string>()
  const { peer } = await openPair<string>(t, {
    onPrepare: () => 'prepared',
    onRequest({ input }, context) {
      input.skip(input.length)
      seen.resolve(context)
    },
  })
  await peer.send('x')
  t.is(await within(seen.promise, 'the request'), 'prepared')
})

const enders: Record<string, [(connection: Connection) => unknown, CloseReason['by']]> = {
  'close()': [(connection) => void connection.close(), 'local'],
  'destroy()': [(connection) => connection.destroy(), 'local'],
  'reset()': [(connection) => connection.reset(), 'local'],
  throwing: [
    () => {
      throw new Error('in onPrepare')
    },
    'error',
  ],
}

for (const [name, [end, by]] of Object.entries(enders)) {
  test.serial(`H13: ${name} in onPrepare drops the peer before a byte is read`, async (t) => {
    await leakCheck(t)
    const calls: string[] = []
    const errors: unknown[] = []
    const handlers: EventLoopOptions = {
      onConnect: () => void calls.push('connect'),
      onRequest: () => void calls.push('request'),
      onDisconnect: () => void calls.push('disconnect'),
      onError: (error) => void errors.push(error),
    }
    const before = stats().bytesRead
    const server = await startServer(t, {
      ...handlers,
      onPrepare(connection) {
        connection.addCloseCallback((_, reason) => void calls.push(`closed ${reason.by}`))
        end(connection)
        t.is(connection.isActive, name === 'throwing')
      },
    })
    // It may be reset before it knows that it is connected.
    const socket = connect(portOf(server.address), '127.0.0.1')
    socket.on('error', () => {})
    socket.write('never read')
    await within(new Promise((done) => socket.resume().on('close', done)), 'the peer ends')
    await eventually(() => server.loop.connectionCount === 0, 'the end')
    t.deepEqual(calls, [`closed ${by}`])
    t.is(errors.length, name === 'throwing' ? 1 : 0)
    t.is(stats().bytesRead, before)
  })
}

test.serial(
  'H52: nothing is read while onPrepare has not returned, and all of it after',
  async (t) => {
    await leakCheck(t)
    const connections: Connection[] = []
    const bytes: string[] = []
    const server = await startServer(t, {
      onPrepare(connection) {
        connection.pause()
        connections.push(connection)
      },
      onRequest: ({ input }) => void bytes.push(input.readString(input.length)),
    })
    const peers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const peer = await Peer.connect(t, server.address)
        await peer.send('early')
        return peer
      }),
    )
    await eventually(() => connections.length === 20, 'all are prepared')
    await new Promise((done) => setTimeout(done, 50))
    t.true(connections.every(({ bytesRead }) => bytesRead === 0))
    for (const connection of connections) connection.resume()
    await eventually(() => bytes.length === 20, 'all are read')
    t.true(bytes.every((text) => text === 'early'))
    for (const peer of peers) peer.end()
  },
)

test.serial('H52: a thread reads nothing either before onPrepare has been called', async (t) => {
  const { stdout, stderr } = await runChild(
    t,
    `
    import { execFileSync } from 'node:child_process'
    import { configure, serve, stats } from 'nodepoll'
    configure({ host: 'thread' })
    const server = await serve({
      host: '127.0.0.1',
      onPrepare() { console.log('before', stats().bytesRead) },
      async onRequest(connection) {
        console.log('then', connection.input.length)
        await connection.close()
        void server.shutdown()
      },
    })
    // The peer has sent all before this thread does anything.
    const { port } = server.address
    const peer = "const socket = require('net').connect(" + port + ", '127.0.0.1')\\n" +
      "socket.end('x'.repeat(1000), () => setTimeout(() => process.exit(), 100))"
    execFileSync(process.execPath, ['-e', peer])
    `,
  )
  t.is(stdout.trim(), 'before 0\nthen 1000', stderr)
})

test.serial(
  'H16: an onPrepare that rejects ends its connection, and is reported once',
  async (t) => {
    await leakCheck(t)
    const errors: unknown[] = []
    const thrown = new Error('too late')
    const server = await startServer(t, {
      onPrepare: (async () => {
        await turn()
        throw thrown
      }) as unknown as () => undefined,
      onError: (error) => void errors.push(error),
    })
    const peer = await Peer.connect(t, server.address)
    await within(peer.closed, 'the peer ends')
    await eventually(() => server.loop.connectionCount === 0, 'the end')
    t.deepEqual(errors, [thrown])
  },
)

test.serial('H88: onPrepare and signals see the store of their loop', async (t) => {
  await leakCheck(t)
  const storage = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  const server = await storage.run('of the loop', () =>
    startServer(t, {
      onPrepare(connection) {
        seen.push(storage.getStore())
        connection.signal.addEventListener('abort', () => seen.push(storage.getStore()))
      },
    }),
  )
  const peer = await storage.run('of the peer', () => Peer.connect(t, server.address))
  peer.end()
  await eventually(() => seen.length === 2, 'the end')
  t.deepEqual(seen, ['of the loop', 'of the loop'])
})

const ends: Record<string, [(connection: Connection, peer: Peer) => unknown, string]> = {
  FIN: [(_, peer) => peer.end(), 'ERR_NODEPOLL_CONNECTION_CLOSED'],
  RST: [(_, peer) => peer.reset(), 'ECONNRESET'],
  'close()': [(connection) => void connection.close(), 'ERR_NODEPOLL_CONNECTION_CLOSED'],
  'destroy(error)': [
    (connection) => connection.destroy(Object.assign(new Error('x'), { code: 'MINE' })),
    'MINE',
  ],
  'an idle timeout': [
    (connection) => connection.setIdleTimeout(1),
    'ERR_NODEPOLL_CONNECTION_CLOSED',
  ],
}

for (const [name, [end, code]] of Object.entries(ends)) {
  test.serial(`the signal is aborted with isActive, by ${name}`, async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { signal } = connection
    t.is(connection.signal, signal)
    t.false(signal.aborted)
    const aborted = deferred<boolean>()
    signal.addEventListener('abort', () => aborted.resolve(connection.isActive))
    end(connection, peer)
    t.false(await within(aborted.promise, 'the signal'), 'it is not active any more')
    t.is(codeOf(signal.reason), code)
    await connection.close()
    t.is(codeOf(signal.reason), code, 'the first reason stays')
  })
}

test.serial('a signal that is asked for after the end is aborted', async (t) => {
  await leakCheck(t)
  const { connection } = await openPair(t)
  await connection.close()
  t.true(connection.signal.aborted)
})

test.serial('H116: a handler that never settles learns of the end by its signal', async (t) => {
  await leakCheck(t)
  const told = deferred<unknown>()
  const gate = deferred()
  const { peer, server } = await openPair(t, {
    async onRequest({ signal, reader, input }) {
      input.skip(input.length)
      const read = failureOf(reader.next(1))
      signal.addEventListener('abort', () => void read.then(told.resolve))
      await gate.promise
    },
  })
  const before = stats().handlersPending
  await peer.send('x')
  await eventually(() => stats().handlersPending === before + 1, 'a pending handler')
  peer.end()
  t.is(codeOf(await within(told.promise, 'the signal')), 'ERR_NODEPOLL_EOF')
  t.is(stats().handlersPending, before + 1)
  const error = await failureOf(server.shutdown({ deadlineMs: 10, force: true }))
  t.is(codeOf(error), 'ERR_NODEPOLL_DEADLINE')
  gate.resolve()
  await within(server.finished, 'the end')
  t.is(stats().handlersPending, before)
})
