import { AsyncLocalStorage } from 'node:async_hooks'

import test from 'ava'
import {
  type Address,
  createEventLoop,
  createListener,
  dial,
  type EventLoop,
  type Listener,
  serve,
  stats,
} from 'nodepoll'

import { block, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, startNetServer, startServer, whereOf } from './helpers/server.ts'

const where = { host: '127.0.0.1', port: 0 }

function echoLoop(): EventLoop {
  return createEventLoop({
    onRequest({ input, writer }) {
      writer.append(input).flush()
    },
  })
}

test.serial(
  'a loop serves several listeners, and serve() settles for each on its own',
  async (t) => {
    await leakCheck(t)
    const loop = echoLoop()
    const listeners = [await createListener(where), await createListener(where)] as const
    const served = listeners.map((listener) => loop.serve(listener))
    const peers = await Promise.all(listeners.map(({ address }) => Peer.connect(t, address)))
    for (const peer of peers) {
      await peer.send('hello')
      await peer.read(5)
    }
    t.is(loop.connectionCount, 2)
    t.is([...loop.connections()].length, 2)
    await listeners[0].close()
    peers[0]?.end()
    await within(served[0] as Promise<void>, 'serve() of the first listener')
    await peers[1]?.send('still')
    t.is((await peers[1]?.read(5))?.toString(), 'still')
    await within(loop.shutdown(), 'shutdown()')
    await within(served[1] as Promise<void>, 'serve() of the second listener')
  },
)

test.serial('serve() waits for the close callbacks of the last connection', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const { connection, peer, server } = await openPair(t)
  connection.addCloseCallback(() => gate.promise)
  let isServed = false
  const served = server.finished.then(() => (isServed = true))
  await server.close()
  t.false(isServed)
  peer.end()
  await within(connection.closed, 'the end')
  await turn()
  t.false(isServed)
  gate.resolve()
  await within(served, 'serve()')
})

test.serial('a listener is served by one loop only', async (t) => {
  await leakCheck(t)
  const listener = await createListener(where)
  const served = echoLoop().serve(listener)
  const error = await failureOf(echoLoop().serve(listener))
  t.like(error, { code: 'ERR_NODEPOLL_UNSUPPORTED' })
  await listener.close()
  await within(served, 'serve()')
})

test.serial('serving a listener that is closed already settles', async (t) => {
  await leakCheck(t)
  const loop = echoLoop()
  const listener = await createListener(where)
  const closing = listener.close()
  t.is(listener.close(), closing)
  await within(loop.serve(listener), 'serve() of a closing listener')
  await closing
  await within(loop.serve(await closedListener()), 'serve() of a closed listener')
  t.is(loop.connectionCount, 0)
})

async function closedListener(): Promise<Listener> {
  const listener = await createListener(where)
  await listener.close()
  return listener
}

test.serial('clients that connect before serve() are served by it', async (t) => {
  await leakCheck(t)
  const listener = await createListener(where)
  const peers = await Promise.all(
    Array.from({ length: 20 }, () => Peer.connect(t, listener.address)),
  )
  for (const { socket } of peers) socket.write('early')
  await turn()
  t.is(stats().connections, 0)
  const loop = echoLoop()
  const served = loop.serve(listener)
  for (const peer of peers) t.is((await peer.read(5)).toString(), 'early')
  await within(loop.shutdown(), 'shutdown()')
  await within(served, 'serve()')
})

test.serial(
  'H77: a listener that closes in the first handler of a batch loses none of its clients',
  async (t) => {
    await leakCheck(t)
    let isFinished = false
    let opened = 0
    let late = 0
    const server = await startServer(t, {
      onConnect() {
        opened++
        if (isFinished) late++
        void server.close()
      },
      onRequest({ input, writer }) {
        if (isFinished) late++
        writer.append(input).flush()
      },
    })
    const finished = server.finished.then(() => (isFinished = true))
    const connecting = Array.from({ length: 100 }, async () => {
      const peer = await Peer.connect(t, server.address)
      peer.socket.write('hello')
      return peer
    })
    block(100)
    const peers = await Promise.all(connecting)
    await Promise.all(
      peers.map(async (peer) => {
        t.is((await peer.read(5)).toString(), 'hello')
        peer.end()
      }),
    )
    await within(finished, 'serve()')
    t.is(opened, 100)
    t.is(late, 0)
  },
)

test.serial('an address can be listened on again once close() has resolved', async (t) => {
  await leakCheck(t)
  let options: { host: string; port: number } = where
  for (let round = 0; round < 20; round++) {
    const listener = await createListener(options)
    options = whereOf(listener.address) as { host: string; port: number }
    await listener.close()
  }
  t.true(options.port > 0)
})

test.serial('without a host both IPv4 and IPv6 are listened on', async (t) => {
  await leakCheck(t)
  const loop = echoLoop()
  const listener = await createListener({})
  const served = loop.serve(listener)
  const { family, port } = listener.address as Exclude<Address, { family: 'unix' }>
  const hosts = family === 'IPv6' ? ['127.0.0.1', '::1'] : ['127.0.0.1']
  for (const host of hosts) {
    const connection = await dial({ host, port })
    connection.write('hello')
    t.is(await connection.reader.readString(5), 'hello')
    await connection.close()
  }
  await loop.shutdown()
  await served
})

test.serial('both ends agree on their addresses', async (t) => {
  await leakCheck(t)
  const { connection, peer, server } = await openPair(t)
  const { localAddress, localPort, remoteAddress, remotePort } = peer.socket
  t.deepEqual(connection.remoteAddress, {
    family: 'IPv4',
    address: localAddress ?? '',
    port: localPort ?? 0,
  })
  t.deepEqual(connection.localAddress, {
    family: 'IPv4',
    address: remoteAddress ?? '',
    port: remotePort ?? 0,
  })
  t.deepEqual(connection.localAddress, server.address)
})

test.serial(
  'H88: handlers run in the context in which their loop was created or dial was called',
  async (t) => {
    await leakCheck(t)
    const storage = new AsyncLocalStorage<string>()
    const wrong: string[] = []
    let checks = 0
    const check = (what: string, expected: string): void => {
      checks++
      const actual = storage.getStore()
      if (actual !== expected) wrong.push(`${what} of ${expected} saw ${actual}`)
    }
    const { port: netPort } = await startNetServer(t, (socket) => void socket.pipe(socket))
    const servers = await Promise.all(
      ['first', 'second'].map((name) =>
        storage.run(name, () =>
          startServer(t, {
            async onConnect(connection) {
              check('onConnect', name)
              connection.addCloseCallback(() => check('a close callback', name))
              connection.addCloseCallback(async () => {
                await turn()
                check('an async close callback', name)
              })
              await turn()
              check('onConnect after an await', name)
            },
            async onRequest({ input, writer, reader }) {
              check('onRequest', name)
              writer.append(input).flush()
              await reader.wait(1)
              check('onRequest after a read', name)
              writer.append(input).flush()
            },
            onDisconnect: () => check('onDisconnect', name),
          }),
        ),
      ),
    )
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        storage.run(`dial ${index}`, async () => {
          const name = `dial ${index}`
          const connection = await dial({
            host: '127.0.0.1',
            port: netPort,
            onRequest(own) {
              check('onRequest', name)
              own.input.skip(own.input.length)
              void own.close()
            },
          })
          check('await dial()', name)
          connection.addCloseCallback(() => check('a close callback', name))
          connection.write('x')
          await connection.closed
          check('await closed', name)
        }),
      ),
    )
    await storage.run('client', async () => {
      for (const { address } of servers) {
        const peer = await Peer.connect(t, address)
        await peer.send('a')
        await peer.read(1)
        await peer.send('b')
        await peer.read(1)
        peer.end()
      }
    })
    await eventually(
      () => servers.every(({ loop }) => loop.connectionCount === 0),
      'the last close callback',
    )
    t.deepEqual(wrong, [])
    t.is(checks, 10 * 4 + 2 * 7)
  },
)

test.serial('H88: after the end nobody holds the store of a loop or a dial', async (t) => {
  await leakCheck(t)
  const references: WeakRef<object>[] = []
  for (let round = 0; round < 5; round++) references.push(...(await useStores()))
  const held = (): number => references.filter((each) => each.deref() !== undefined).length
  await eventually(
    () => {
      collectGarbage()
      return held() === 0
    },
    () => `${held()} of ${references.length} stores are held`,
  )
  t.is(references.length, 25)
})

/** Uses a store for each call of a conversation, and keeps none. */
async function useStores(): Promise<WeakRef<object>[]> {
  const storage = new AsyncLocalStorage<object>()
  const references: WeakRef<object>[] = []
  const runInStore = <T>(run: () => T): T => {
    const store = {}
    references.push(new WeakRef(store))
    return storage.run(store, run)
  }
  const server = await runInStore(() =>
    serve({
      ...where,
      onRequest({ input, writer }) {
        writer.append(input).flush()
      },
    }),
  )
  const connection = await runInStore(() => dial(whereOf(server.address)))
  connection.write('x')
  await runInStore(() => connection.reader.skip(1))
  await runInStore(() => connection.close())
  await runInStore(() => server.shutdown())
  return references
}
