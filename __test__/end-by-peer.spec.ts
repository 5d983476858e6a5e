import test from 'ava'
import type { CloseReason, Connection } from 'nodepoll'

import { Countdown, deferred, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, startServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

test.serial('H24: 200 normal ends have the reason peer, and are no error', async (t) => {
  await leakCheck(t)
  const errors: unknown[] = []
  const reasons: CloseReason[] = []
  const all = new Countdown(200)
  const server = await startServer(t, {
    onConnect(connection) {
      connection.addCloseCallback((_, reason) => {
        reasons.push(reason)
        all.pass()
      })
    },
    onRequest: (connection) => connection.input.skip(connection.input.length),
    onError: (error) => void errors.push(error),
  })
  for (let index = 0; index < 200; index++) {
    const peer = await Peer.connect(t, server.address)
    if (index % 2 === 0) peer.end()
    else peer.end('some last words')
  }
  await within(all.reached, 'all ends')
  t.deepEqual(
    reasons,
    Array.from({ length: 200 }, () => ({ by: 'peer' })),
  )
  t.deepEqual(errors, [])
})

test.serial(
  'a FIN turns isActive off and calls onDisconnect once, before the close callbacks',
  async (t) => {
    await leakCheck(t)
    const order: string[] = []
    const { connection, peer } = await openPair(t, {
      onDisconnect: (ended) => void order.push(`disconnect, active: ${ended.isActive}`),
    })
    connection.addCloseCallback(() => void order.push('close callback'))
    t.true(connection.isActive)
    peer.end()
    t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
    await turn()
    t.deepEqual(order, ['disconnect, active: false', 'close callback'])
  },
)

test.serial('H53: our own close() does not call onDisconnect', async (t) => {
  await leakCheck(t)
  let calls = 0
  const { connection } = await openPair(t, { onDisconnect: () => void calls++ })
  await within(connection.close(), 'the end')
  t.deepEqual(await connection.closed, { by: 'local' })
  await turn()
  t.is(calls, 0)
})

test.serial(
  'H15: what 500 clients send right before FIN reaches onRequest to the last byte',
  async (t) => {
    await leakCheck(t)
    const sizes = [1, 1024, 100 * 1024]
    const received: number[] = []
    const all = new Countdown(500)
    const server = await startServer<{ bytes: number }>(t, {
      onConnect(connection) {
        const context = { bytes: 0 }
        connection.addCloseCallback(() => {
          received.push(context.bytes)
          all.pass()
        })
        return context
      },
      onRequest({ input }, context) {
        context.bytes += input.length
        input.skip(input.length)
      },
    })
    const expected: number[] = []
    const clients = Array.from({ length: 500 }, async (_, index) => {
      const size = sizes[index % sizes.length] as number
      expected.push(size)
      const peer = await Peer.connect(t, server.address)
      peer.end(Buffer.alloc(size, 1))
    })
    await Promise.all(clients)
    await within(all.reached, 'all ends')
    t.deepEqual(received.toSorted(byNumber), expected.toSorted(byNumber))
  },
)

test.serial(
  'H15: onRequest runs for input that came while onConnect was pending, after the FIN',
  async (t) => {
    await leakCheck(t)
    const gate = deferred()
    let seen = ''
    const { connection, peer } = await openPair(t, {
      onConnect: () => gate.promise,
      onRequest({ input }) {
        seen += input.readString(input.length)
      },
      onDisconnect: () => gate.resolve(),
    })
    peer.end('the only request')
    t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
    t.is(seen, 'the only request')
  },
)

for (const size of [5, 3 << 20]) {
  test.serial(
    `H15, H75: a FIN during a running handler does not cut off its reply of ${size} bytes`,
    async (t) => {
      await leakCheck(t)
      const gone = deferred()
      const settled = deferred()
      const { connection, peer } = await openPair(
        t,
        {
          async onRequest({ input, writer }) {
            input.skip(input.length)
            await gone.promise
            // Some turns later, so that what comes with the FIN has passed.
            for (let index = 0; index < 5; index++) await turn()
            writer.writeBinary(new Stream(7).take(size)).flush()
            settled.resolve()
          },
          onDisconnect: () => gone.resolve(),
        },
        { allowHalfOpen: true },
      )
      peer.end('request')
      const reply = await peer.readToEnd()
      t.is(reply.length, size)
      t.true(new Stream(7).matches(reply))
      await settled.promise
      t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
      peer.socket.destroy()
    },
  )
}

test.serial('a FIN without input ends a connection whose handlers are idle', async (t) => {
  await leakCheck(t)
  let requests = 0
  const { connection, peer } = await openPair(t, { onRequest: () => void requests++ })
  peer.end()
  t.is(await within(peer.closed, 'FIN from us'), undefined)
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
  t.is(requests, 0)
})

test.serial(
  'bytes that nobody has read stay readable after the FIN, then reads say EOF',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    peer.end('left over')
    await within(connection.closed, 'the end')
    t.is(connection.input.length, 9)
    t.is(await connection.reader.readString(4), 'left')
    const error = await failureOf(connection.reader.next(6))
    t.like(error, { code: 'ERR_NODEPOLL_EOF', name: 'NodepollError' })
    t.is(connection.input.readString(5), ' over')
  },
)

test.serial(
  'the views that a handler made are whole when the FIN comes with their bytes',
  async (t) => {
    await leakCheck(t)
    const views: Buffer[] = []
    const { connection, peer } = await openPair(t, {
      autoRelease: false,
      onRequest: ({ input }) => void views.push(input.next(input.length)),
    })
    peer.end(new Stream(3).take(50_000))
    await within(connection.closed, 'the end')
    t.true(new Stream(3).matches(Buffer.concat(views)))
    connection.input.release()
  },
)

test.serial('a server end on both sides at once ends each connection once', async (t) => {
  await leakCheck(t)
  let opens = 0
  const all = new Countdown(500)
  const server = await startServer(t, {
    onConnect(connection: Connection) {
      opens++
      connection.addCloseCallback(() => all.pass())
    },
    onRequest(connection) {
      connection.input.skip(connection.input.length)
      void connection.close()
    },
  })
  for (let round = 0; round < 25; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const peer = await Peer.connect(t, server.address)
        peer.end('x')
        t.is(await within(peer.closed, 'an ended socket'), undefined)
      }),
    )
  }
  await within(all.reached, 'all ends')
  t.is(opens, 500)
})

function byNumber(a: number, b: number): number {
  return a - b
}
