import test from 'ava'
import type { Connection, EventLoopOptions } from 'nodepoll'

import { Countdown, deferred, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, openPair, startNetServer, startServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

test.serial(
  'H14: connect, request, disconnect and close callbacks come in this order',
  async (t) => {
    await leakCheck(t)
    const order: string[] = []
    const done = deferred()
    const server = await startServer<string>(t, {
      async onConnect(connection) {
        order.push('connect')
        connection.addCloseCallback(() => {
          order.push('close callback')
          done.resolve()
        })
        await turn()
        order.push('connected')
        return 'context'
      },
      onRequest({ input }, context) {
        order.push(`request ${input.readString(input.length)}, ${context}`)
      },
      onDisconnect: (_, context) => void order.push(`disconnect, ${context}`),
    })
    const peer = await Peer.connect(t, server.address)
    await peer.send('a')
    await eventually(() => order.length === 3, 'a request')
    peer.end()
    await within(done.promise, 'the close callback')
    t.deepEqual(order, [
      'connect',
      'connected',
      'request a, context',
      'disconnect, context',
      'close callback',
    ])
  },
)

test.serial(
  'H14: the peer of 200 leaves while onConnect is pending: disconnect runs at once',
  async (t) => {
    await leakCheck(t)
    const all = new Countdown(200)
    const wrong: string[][] = []
    const server = await startServer<{ order: string[] }>(t, {
      async onConnect(connection) {
        const order = ['connect']
        const gone = deferred()
        leave.set(connection, () => {
          order.push('disconnect')
          gone.resolve()
        })
        connection.addCloseCallback(() => {
          order.push('close callback')
          const expected = ['connect', 'disconnect', 'connected', 'request', 'close callback']
          if (order.join() !== expected.join()) wrong.push(order)
          all.pass()
        })
        await gone.promise
        await turn()
        order.push('connected')
        return { order }
      },
      onRequest({ input }, { order }) {
        input.skip(input.length)
        order.push('request')
      },
      onDisconnect(connection, context) {
        if (context !== undefined) wrong.push(['a context before onConnect has settled'])
        leave.get(connection)?.()
      },
    })
    for (let index = 0; index < 200; index++) {
      const peer = await Peer.connect(t, server.address)
      peer.end('a request')
    }
    await within(all.reached, 'all ends')
    t.deepEqual(wrong, [])
  },
)
const leave = new Map<Connection, () => void>()

test.serial('onRequest never overlaps itself or onConnect', async (t) => {
  await leakCheck(t)
  let running = 0
  let overlaps = 0
  let bytes = 0
  const busy = async (): Promise<void> => {
    if (++running > 1) overlaps++
    await turn()
    running--
  }
  const { peer } = await openPair(t, {
    onConnect: busy,
    async onRequest({ input }) {
      bytes += input.length
      input.skip(input.length)
      await busy()
    },
  })
  for (let index = 0; index < 50; index++) {
    await peer.send('12345')
    await turn()
  }
  await eventually(() => bytes === 250, 'all bytes')
  t.is(overlaps, 0)
})

test.serial('H52: what came before anybody listens is there for the first read', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  await peer.send(new Stream(1).take(200_000))
  await eventually(() => connection.bytesRead === 200_000, 'the bytes')
  t.true(new Stream(1).matches(await connection.reader.next(200_000)))
})

test.serial(
  'H52: a server that speaks first is heard by a dial, with a handler or a read',
  async (t) => {
    await leakCheck(t)
    const { port } = await startNetServer(t, (socket) => socket.write('welcome'))
    const text = deferred<string>()
    await dialTo(t, port, {
      onRequest: ({ input }) => {
        if (input.length === 7) text.resolve(input.readString(7))
      },
    })
    t.is(await within(text.promise, 'a request'), 'welcome')
    const reader = await dialTo(t, port)
    await turn()
    t.is(await within(reader.reader.readString(7), 'a read'), 'welcome')
  },
)

test.serial(
  'H81: a handler that consumes nothing runs once an arrival, not again and again',
  async (t) => {
    await leakCheck(t)
    let calls = 0
    const { connection, peer } = await openPair(t, {
      onRequest({ input }) {
        calls++
        if (input.length >= 10) input.skip(10)
      },
    })
    for (let arrived = 1; arrived <= 9; arrived++) {
      await peer.send('x')
      await eventually(() => connection.bytesRead === arrived, 'a byte')
      await turn()
      t.is(calls, arrived)
    }
    await peer.send('x')
    await eventually(() => connection.input.length === 0, 'the tenth byte to be consumed')
    t.is(calls, 10)
    await peer.send('12345')
    await eventually(() => connection.bytesRead === 15, 'five more bytes')
    const before = calls
    peer.end()
    t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
    t.true(calls <= before + 1, `${calls - before} calls for a FIN`)
    t.is(connection.input.length, 5)
  },
)

test.serial(
  'H81: a handler that consumes a part is called again until all is consumed',
  async (t) => {
    await leakCheck(t)
    const seen: string[] = []
    const { connection, peer } = await openPair(t, {
      onRequest: async ({ input }) => {
        seen.push(input.readString(1))
        await turn()
      },
    })
    await peer.send('abcdefghij')
    await eventually(
      () => connection.bytesRead === 10 && connection.input.length === 0,
      'all bytes',
    )
    t.is(seen.join(''), 'abcdefghij')
  },
)

test.serial(
  'input that arrives while a handler is pending is handled when it has settled',
  async (t) => {
    await leakCheck(t)
    const gates = [deferred(), deferred()]
    const seen: string[] = []
    const { connection, peer } = await openPair(t, {
      async onRequest({ input }) {
        seen.push(input.readString(input.length))
        await gates[seen.length - 1]?.promise
      },
    })
    await peer.send('first')
    await eventually(() => seen.length === 1, 'the first request')
    await peer.send('second')
    await eventually(() => connection.bytesRead === 11, 'the second arrival')
    await turn()
    t.deepEqual(seen, ['first'])
    gates[0]?.resolve()
    await eventually(() => seen.length === 2, 'the second request')
    t.deepEqual(seen, ['first', 'second'])
    gates[1]?.resolve()
  },
)

test.serial('autoRelease false keeps the views of a handler until release()', async (t) => {
  await leakCheck(t)
  const views: Buffer[] = []
  const { connection, peer } = await openPair(t, {
    autoRelease: false,
    onRequest({ input }) {
      views.push(input.next(input.length))
    },
  })
  const stream = new Stream(4)
  for (let index = 0; index < 100; index++) {
    await peer.send(stream.take(20_000))
    await eventually(() => connection.bytesRead === stream.position, 'the bytes')
  }
  t.true(new Stream(4).matches(Buffer.concat(views)))
  connection.input.release()
})

test.serial('handlers are called with the options as this', async (t) => {
  await leakCheck(t)
  const seen = deferred<unknown>()
  const options = {
    onConnect(this: unknown) {
      seen.resolve(this)
    },
  }
  const server = await startServer(t, options)
  await Peer.connect(t, server.address)
  t.like(await within(seen.promise, 'onConnect'), options)
})

/** When another handler is set, told by what has happened before. */
const handovers: Record<string, (set: (connection: Connection) => void) => EventLoopOptions> = {
  'inside onConnect': (set) => ({ onConnect: (connection) => set(connection) }),
  'inside onRequest': (set) => ({
    onRequest(connection) {
      connection.input.peek(1)
      set(connection)
    },
  }),
  'after an await in onRequest': (set) => ({
    async onRequest(connection) {
      await turn()
      set(connection)
    },
  }),
  'after a part was consumed': (set) => ({
    onRequest(connection) {
      connection.input.skip(1)
      set(connection)
    },
  }),
}

for (const [when, optionsOf] of Object.entries(handovers)) {
  test.serial(
    `H17: a handler set ${when} gets all unread bytes once, the old one none`,
    async (t) => {
      await leakCheck(t)
      let heard = ''
      let isSet = false
      const options = optionsOf((connection) => {
        t.false(isSet, 'the old one is not called again')
        isSet = true
        connection.setOnRequest(({ input }) => void (heard += input.readString(input.length)))
      })
      const { peer } = await openPair(t, options)
      await peer.send('123')
      const expected = when === 'after a part was consumed' ? '23' : '123'
      await eventually(
        () => heard === expected,
        () => heard,
      )
      await peer.send('456')
      await eventually(
        () => heard === `${expected}456`,
        () => heard,
      )
    },
  )
}

test.serial('H17: a handler set while nothing runs, before data and after', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  let heard = ''
  await peer.send('early ')
  await eventually(() => connection.input.length === 6, 'the bytes')
  connection.setOnRequest(({ input }) => void (heard += input.readString(input.length)))
  t.is(heard, '', 'not inside of the call')
  await turn()
  t.is(heard, 'early ')
  await peer.send('late')
  await eventually(
    () => heard === 'early late',
    () => heard,
  )
  connection.setOnRequest(({ input }) => void (heard += input.readString(input.length).length))
  let disconnects = 0
  connection.setOnDisconnect(() => void disconnects++)
  await peer.send('more')
  await eventually(
    () => heard === 'early late4',
    () => heard,
  )
  peer.end()
  await connection.closed
  t.is(disconnects, 1)
  t.throws(() => connection.setOnRequest(1 as never), { code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => connection.setOnDisconnect(null as never), { code: 'ERR_INVALID_ARG_TYPE' })
})
