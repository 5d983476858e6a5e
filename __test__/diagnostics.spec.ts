import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'

import test, { type ExecutionContext } from 'ava'
import { type Connection, createListener, dial, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { block, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { fakeNames } from './helpers/names.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, echoServer, openPair, portOf, startServer } from './helpers/server.ts'

const OPEN = 'nodepoll:connection:open'
const CLOSE = 'nodepoll:connection:close'
const ERROR = 'nodepoll:error'

interface Message {
  readonly name: string
  readonly connection?: Connection
  readonly reason?: { by: string; error?: unknown }
  readonly error?: unknown
}

/** Collects what is published until the test ends. */
function watch(t: ExecutionContext<unknown>): Message[] {
  const messages: Message[] = []
  const take = (message: unknown, name: string | symbol): void => {
    messages.push({ name: String(name), ...(message as object) })
  }
  for (const name of [OPEN, CLOSE, ERROR]) {
    subscribe(name, take)
    t.teardown(() => {
      unsubscribe(name, take)
      // What was published holds connections.
      messages.length = 0
    })
  }
  return messages
}

test.serial('both ends of a connection are published as open and as closed', async (t) => {
  await leakCheck(t)
  const messages = watch(t)
  const server = await echoServer(t)
  const dialled = await dialTo(t, server.address)
  await eventually(() => server.loop.connectionCount === 1, 'an accepted connection')
  const [accepted] = server.loop.connections() as Iterable<Connection>
  await eventually(() => messages.length === 2, 'both opened')
  dialled.write('x')
  await within(dialled.reader.skip(1), 'an echo')
  await dialled.close()
  await eventually(() => messages.length === 4, 'both closed')
  for (const [connection, by] of [
    [dialled, 'local'],
    [accepted, 'peer'],
  ] as const) {
    const own = messages.filter((message) => message.connection === connection)
    t.deepEqual(
      own.map(({ name }) => name),
      [OPEN, CLOSE],
    )
    t.deepEqual(Object.keys(own[0] as object), ['name', 'connection'])
    t.deepEqual(Object.keys(own[1] as object), ['name', 'connection', 'reason'])
    t.deepEqual(own[1]?.reason, { by } as never)
    t.is(own[1]?.reason, await connection?.closed)
  }
})

test.serial('open is published before any handler, close before any close callback', async (t) => {
  await leakCheck(t)
  const order: string[] = []
  const opened = (): unknown => order.push('open')
  const closed = (): unknown => order.push('close')
  const ended = deferred()
  subscribe(OPEN, opened)
  subscribe(CLOSE, closed)
  t.teardown(() => {
    unsubscribe(OPEN, opened)
    unsubscribe(CLOSE, closed)
  })
  const server = await startServer(t, {
    onPrepare: () => void order.push('onPrepare'),
    onConnect(connection) {
      order.push('onConnect')
      connection.addCloseCallback(() => {
        order.push('callback')
        ended.resolve()
      })
    },
    onRequest(connection) {
      connection.input.skip(1)
      order.push('onRequest')
    },
    onDisconnect: () => void order.push('onDisconnect'),
  })
  const peer = await Peer.connect(t, server.address)
  await peer.send('x')
  await eventually(() => order.includes('onRequest'), 'onRequest')
  peer.reset()
  await within(ended.promise, 'the close callback')
  t.deepEqual(order, [
    'open',
    'onPrepare',
    'onConnect',
    'onRequest',
    'close',
    'onDisconnect',
    'callback',
  ])
})

test.serial('what goes to onError is published as an error, with its connection', async (t) => {
  await leakCheck(t)
  const messages = watch(t)
  const error = new Error('mine')
  const { connection, peer } = await openPair(t, {
    onRequest() {
      throw error
    },
    onError: () => {},
  })
  await peer.send('x')
  await connection.closed
  const errors = messages.filter(({ name }) => name === ERROR)
  t.is(errors.length, 1)
  t.deepEqual(Object.keys(errors[0] as object), ['name', 'error', 'connection'])
  t.is(errors[0]?.error, error)
  t.is(errors[0]?.connection, connection)
  const [closed] = messages.filter(({ name }) => name === CLOSE)
  t.is(closed?.reason?.by, 'error')
  t.is(closed?.reason?.error, error)
})

test.serial('a loser among the attempts of a dial is never published', async (t) => {
  await leakCheck(t)
  const first = await echoServer(t)
  const port = portOf(first.address)
  let second
  try {
    second = await echoServer(t, { host: '127.0.0.2', port })
  } catch (error) {
    t.log(`skipped: this machine has no second address: ${String(error)}`)
    t.pass()
    return
  }
  fakeNames(t, () => ['127.0.0.1', '127.0.0.2'])
  const dialled: Message[] = []
  const accepted = new Set([...first.loop.connections(), ...second.loop.connections()])
  const messages = watch(t)
  const { dials } = stats()
  let rounds = 0
  // Until both have been dialled at once: JavaScript is busy while the first one answers.
  while (rounds < 5) {
    rounds++
    await turn()
    const dialling = dial({ host: 'two.test', port })
    for (let step = 0; step < 20; step++) await Promise.resolve()
    block(270)
    const connection = await within(dialling, 'a dial')
    connection.destroy()
    await connection.closed
  }
  t.true(stats().dials - dials > rounds, 'both were dialled at least once')
  await eventually(() => stats().connections === 0, 'the end of all connections')
  for (const message of messages) {
    const { connection } = message
    if (connection === undefined || accepted.has(connection)) continue
    if (portOf(connection.remoteAddress) === port) dialled.push(message)
  }
  t.deepEqual(
    dialled.map(({ name }) => name),
    Array.from({ length: 2 * rounds }, (_, index) => (index % 2 === 0 ? OPEN : CLOSE)),
  )
})

test.serial('a dial that fails publishes nothing', async (t) => {
  await leakCheck(t)
  const messages = watch(t)
  const listener = await createListener({ host: '127.0.0.1' })
  const port = portOf(listener.address)
  await listener.close()
  await failureOf(dial({ host: '127.0.0.1', port }))
  await failureOf(dial({ host: 'no-such-name.invalid', port, timeoutMs: 5000 }))
  t.deepEqual(messages, [])
})

function ignore(): void {}

test.serial('nothing is published without subscribers', async (t) => {
  await leakCheck(t)
  const names = [OPEN, CLOSE, ERROR]
  let published = 0
  for (const name of names) {
    const own = channel(name)
    const original = own.publish
    own.publish = () => void published++
    t.teardown(() => void (own.publish = original))
  }
  const failing = { onRequest: () => Promise.reject(new Error('mine')), onError: () => {} }
  const { connection, peer } = await openPair(t, failing)
  await peer.send('x')
  await connection.closed
  t.is(published, 0)
  // With a subscriber the same does publish, so that the test above could have seen it.
  for (const name of names) {
    subscribe(name, ignore)
    t.teardown(() => void unsubscribe(name, ignore))
    // Node's channel changes its class with the first subscriber.
    channel(name).publish = () => void published++
  }
  const again = await openPair(t, failing)
  await again.peer.send('x')
  await again.connection.closed
  t.true(published >= 3, `${published} messages`)
})

test.serial(
  "a subscriber that throws disturbs nothing but the process's own handler",
  async (t) => {
    const { code, stdout, stderr } = await runChild(
      t,
      `
    import { subscribe } from 'node:diagnostics_channel'
    import { dial, serve } from 'nodepoll'
    const thrown = []
    process.on('uncaughtException', (error) => thrown.push(error.message))
    for (const name of ${JSON.stringify([OPEN, CLOSE, ERROR])}) {
      subscribe(name, () => { throw new Error(name) })
    }
    const said = []
    const server = await serve({
      host: '127.0.0.1',
      onConnect: (connection) => void connection.addCloseCallback(() => said.push('callback')),
      onRequest(connection) {
        const text = connection.input.readString(connection.input.length)
        if (text === 'throw') throw new Error('of a handler')
        connection.write(text)
      },
      onError: (error) => said.push(error.message),
    })
    const at = { host: '127.0.0.1', port: server.address.port }
    for (const text of ['echo', 'throw']) {
      const connection = await dial(at)
      connection.write(text)
      await connection.reader.readString(text.length).then((echo) => said.push(echo), () => {})
      await connection.close()
    }
    await server.shutdown()
    console.log(said.toSorted().join(', '))
    const counts = {}
    for (const name of thrown) counts[name] = (counts[name] ?? 0) + 1
    console.log(Object.entries(counts).toSorted().join(' '))
    `,
    )
    const counts = 'nodepoll:connection:close,4 nodepoll:connection:open,4 nodepoll:error,1'
    t.deepEqual([code, stderr], [0, ''])
    t.is(stdout, `callback, callback, echo, of a handler\n${counts}\n`)
  },
)

test.serial('handlersPending counts the handlers whose promise is pending', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const server = await startServer(t, {
    async onRequest({ input }) {
      const text = input.readString(input.length)
      if (text === 'wait') await gate.promise
      if (text === 'fail') await gate.promise.then(() => Promise.reject(new Error('mine')))
    },
    onError: () => {},
  })
  const before = stats().handlersPending
  const peers = await Promise.all(Array.from({ length: 4 }, () => Peer.connect(t, server.address)))
  for (const [index, peer] of peers.entries()) {
    peer.socket.on('error', () => {})
    await peer.send(['wait', 'fail', 'wait', 'go on'][index] as string)
  }
  await eventually(() => stats().handlersPending === before + 3, 'three pending handlers')
  // The end of a connection does not end its handler.
  peers[0]?.reset()
  await eventually(() => server.loop.connectionCount === 4, 'the close callback is held back')
  t.is(stats().handlersPending, before + 3)
  gate.resolve()
  await eventually(() => stats().handlersPending === before, 'no pending handler')
})

test.serial('wakeupsOfPoller counts when a sleeping I/O thread had to be woken', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `
    import { configure, createListener, stats } from 'nodepoll'
    configure({ host: 'thread', pollers: 1 })
    await (await createListener({ host: '127.0.0.1' })).close()
    const before = stats()
    // Each close() is waited for, so that the thread has nothing to do before the next one.
    for (let round = 0; round < 50; round++) {
      await (await createListener({ host: '127.0.0.1' })).close()
    }
    const after = stats()
    const woken = after.wakeupsOfPoller - before.wakeupsOfPoller
    console.log(woken > 10, woken <= 200, woken)
    // Who only asks wakes nobody.
    for (let round = 0; round < 50; round++) stats()
    console.log(stats().wakeupsOfPoller - after.wakeupsOfPoller)
    `,
  )
  t.deepEqual([code, stderr], [0, ''])
  t.regex(stdout, /^true true \d+\n0\n$/)
})
