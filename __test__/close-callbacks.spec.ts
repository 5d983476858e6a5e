import test from 'ava'
import { type CloseReason, type Connection, type EventLoopOptions, type Server } from 'nodepoll'

import { deferred, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, startServer } from './helpers/server.ts'

interface Situation {
  readonly connection: Connection
  readonly peer: Peer
  readonly server: Server
}

const thrown = new Error('thrown by a handler')

/** What ends a connection, and the reason it has then. */
const enders: Record<string, [(all: Situation) => unknown, CloseReason['by']]> = {
  'close()': [({ connection }) => void connection.close(), 'local'],
  'destroy()': [({ connection }) => connection.destroy(), 'local'],
  'destroy(error)': [({ connection }) => connection.destroy(new Error('enough')), 'error'],
  'reset()': [({ connection }) => connection.reset(), 'local'],
  'FIN from the peer': [({ peer }) => peer.end(), 'peer'],
  'RST from the peer': [({ peer }) => peer.reset(), 'error'],
  'shutdown()': [({ server }) => void server.shutdown(), 'shutdown'],
  'an idle timeout': [({ connection }) => void connection.setIdleTimeout(5), 'timeout'],
  'FIN from both, ours first': [
    async ({ connection, peer }) => {
      await connection.closeWrite()
      peer.end()
    },
    'peer',
  ],
  'a forced shutdown()': [
    ({ server }) => void server.shutdown({ deadlineMs: 0, force: true }).catch(() => {}),
    'shutdown',
  ],
}

const handlerSets: Record<string, EventLoopOptions> = {
  'no handlers': {},
  onConnect: { onConnect: () => {} },
  onRequest: { onRequest: ({ input }) => input.skip(input.length) },
  'both handlers': {
    onConnect: async () => {},
    onRequest: ({ input }) => input.skip(input.length),
  },
}

for (const [ending, [end, by]] of Object.entries(enders)) {
  for (const [handlers, options] of Object.entries(handlerSets)) {
    test.serial(
      `H13: close callbacks run once, last added first, one after another: ${ending}, ${handlers}`,
      async (t) => {
        await leakCheck(t)
        const order: string[] = []
        const errors: unknown[] = []
        const server = await startServer(t, {
          ...options,
          onError: (error) => void errors.push(error),
        })
        const peer = await Peer.connect(t, server.address)
        await eventually(() => server.loop.connectionCount === 1, 'an accepted connection')
        const [connection] = server.loop.connections() as Iterable<Connection> as Connection[]
        const own = connection as Connection
        const rejected = new Error('rejected')
        own.addCloseCallback((given, reason) => {
          t.is(given, own)
          order.push(`1 ${reason.by}`)
        })
        own.addCloseCallback(async () => {
          order.push('2 rejects')
          await turn()
          throw rejected
        })
        own.addCloseCallback(async () => {
          order.push('3 begins')
          await turn()
          order.push('3 ends')
        })
        own.addCloseCallback(() => {
          order.push('4 throws')
          throw thrown
        })
        own.addCloseCallback(() => void order.push('5'))
        await end({ connection: own, peer, server })
        await eventually(() => server.loop.connectionCount === 0, 'the last close callback')
        const expected = ['5', '4 throws', '3 begins', '3 ends', '2 rejects', `1 ${by}`]
        t.deepEqual(order, expected)
        t.deepEqual(errors, [thrown, rejected])
        own.addCloseCallback((_, reason) => void order.push(`late ${reason.by}`))
        t.is(order.length, expected.length)
        await Promise.resolve()
        t.is(order.at(-1), `late ${by}`)
        t.is((await own.closed).by, by)
      },
    )
  }
}

test.serial(
  'H13: those added in onConnect and in onRequest run, whichever handler throws',
  async (t) => {
    await leakCheck(t)
    for (const thrower of ['onConnect', 'onRequest'] as const) {
      const order: string[] = []
      const done = deferred()
      const server = await startServer(t, {
        onConnect(connection) {
          connection.addCloseCallback((_, reason) => {
            order.push(`connect, ${reason.by}: ${(reason.error as Error).message}`)
            done.resolve()
          })
          if (thrower === 'onConnect') throw thrown
        },
        onRequest(connection) {
          connection.addCloseCallback(() => void order.push('request'))
          throw thrown
        },
        onError: () => {},
      })
      const peer = await Peer.connect(t, server.address)
      peer.socket.write('x')
      await within(done.promise, 'the close callback')
      const first = thrower === 'onConnect' ? [] : ['request']
      t.deepEqual(order, [...first, `connect, error: ${thrown.message}`])
    }
  },
)

test.serial(
  'H13: one that is added in a close callback runs after those still to come',
  async (t) => {
    await leakCheck(t)
    const order: string[] = []
    const { connection, server } = await openPair(t)
    connection.addCloseCallback(() => void order.push('first added'))
    connection.addCloseCallback(async () => {
      connection.addCloseCallback(() => void order.push('added in a callback'))
      await turn()
      order.push('second added')
    })
    void connection.close()
    await eventually(() => server.loop.connectionCount === 0, 'the last close callback')
    await turn()
    t.deepEqual(order, ['second added', 'first added', 'added in a callback'])
  },
)

test.serial(
  'H13: one that is added late runs in a microtask, and what it throws goes to onError',
  async (t) => {
    await leakCheck(t)
    const errors: unknown[] = []
    const { connection, server } = await openPair(t, {
      onError: (error) => void errors.push(error),
    })
    void connection.close()
    await eventually(() => server.loop.connectionCount === 0, 'the end')
    connection.addCloseCallback(() => {
      throw thrown
    })
    t.deepEqual(errors, [])
    await Promise.resolve()
    t.deepEqual(errors, [thrown])
  },
)

test.serial('close callbacks wait until the pending handler has settled', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const started = deferred()
  const order: string[] = []
  const { connection, peer, server } = await openPair(t, {
    async onRequest() {
      started.resolve()
      await gate.promise
      order.push('handler')
    },
  })
  connection.addCloseCallback(() => void order.push('close callback'))
  await peer.send('x')
  await within(started.promise, 'onRequest')
  connection.destroy()
  await within(connection.closed, 'the end')
  await turn()
  t.deepEqual(order, [])
  gate.resolve()
  await eventually(() => server.loop.connectionCount === 0, 'the close callback')
  t.deepEqual(order, ['handler', 'close callback'])
})

test.serial('in a close callback the input is readable and writing fails', async (t) => {
  await leakCheck(t)
  const seen = deferred<unknown[]>()
  const { connection, peer } = await openPair(t)
  await peer.send('the rest')
  await connection.reader.wait(8)
  connection.addCloseCallback((own) => {
    const text = own.input.readString(8)
    try {
      own.write('x')
      seen.resolve([text])
    } catch (error) {
      seen.resolve([text, (error as { code: string }).code])
    }
  })
  peer.end()
  t.deepEqual(await within(seen.promise, 'the close callback'), [
    'the rest',
    'ERR_NODEPOLL_CONNECTION_CLOSED',
  ])
})

test.serial('shutdown() and serve() wait for async close callbacks, closed does not', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const { connection, server } = await openPair(t)
  connection.addCloseCallback(() => gate.promise)
  let finished = 0
  const shutting = server.shutdown().then(() => finished++)
  const serving = server.finished.then(() => finished++)
  await within(connection.closed, 'the end')
  await turn()
  t.is(finished, 0)
  gate.resolve()
  await within(Promise.all([shutting, serving]), 'shutdown() and serve()')
})
