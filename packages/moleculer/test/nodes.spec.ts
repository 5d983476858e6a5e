import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { Readable } from 'node:stream'

import test from 'ava'
import { type Context, Errors, type ServiceSchema } from 'moleculer'

import { freePort } from '../../../scripts/free-port.mjs'
import { deferred, eventually, within } from '../../testing/waiting.ts'
import { type Node, portOf, startNode } from './helpers.ts'

function mathService(heard: unknown[] = []): ServiceSchema {
  return {
    name: 'math',
    actions: {
      add: ({ params: { a, b } }: Context<{ a: number; b: number }>) => a + b,
      same: ({ params }: Context<{ value: unknown }>) => params.value,
      never: () => new Promise(() => {}),
      fail: () => {
        throw new Errors.MoleculerClientError('as expected', 422, 'EXPECTED')
      },
      async length({ params }: Context<Readable>) {
        let length = 0
        for await (const chunk of params) length += (chunk as Buffer).length
        return length
      },
      stream: () => Readable.from([Buffer.alloc(100_000, 'a'), Buffer.alloc(100_000, 'b')]),
    },
    events: { 'said.**': (ctx: Context) => void heard.push(ctx.params) },
  }
}

function knows({ broker }: Node, nodeID: string): boolean {
  const { nodes } = broker.registry
  return nodes.get(nodeID)?.available === true
}

test('nodes that know each other discover each other, call, emit and stream', async (t) => {
  const heard: unknown[] = []
  const port = await freePort()
  const listen = { host: '127.0.0.1', port }
  const b = await startNode(t, 'b', { listen }, [mathService(heard)])
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${port}`] })
  await within(a.broker.waitForServices('math'), 'the service')
  t.is(await a.broker.call('math.add', { a: 2, b: 3 }), 5)
  await t.throwsAsync(a.broker.call('math.fail'), { message: 'as expected' })
  await a.broker.emit('said.hello', { to: 'b' })
  await a.broker.broadcast('said.all', { to: 'all' })
  await eventually(() => heard.length === 2, 'the events')
  t.deepEqual(heard, [{ to: 'b' }, { to: 'all' }])
  const sent = Readable.from(Array.from({ length: 200 }, () => Buffer.alloc(65_536)))
  t.is(await within(a.broker.call('math.length', sent), 'a stream'), 200 * 65_536)
  let received = 0
  for await (const chunk of await a.broker.call<Readable, undefined>('math.stream', undefined)) {
    received += (chunk as Buffer).length
  }
  t.is(received, 200_000)
  t.true((await within(a.broker.ping('b'), 'a pong')) !== null)
  // Moleculer tells of a node in its own time.
  await eventually(() => knows(b, 'a'), 'a at b')
})

test('a node that does not listen can be called over the connection it has made', async (t) => {
  const b = await startNode(t, 'b')
  const nodes = [{ host: '127.0.0.1', port: portOf(b) }]
  const transporter = { listen: undefined, nodes }
  await startNode(t, 'a', transporter as unknown as { nodes: [] }, [mathService()])
  await within(b.broker.waitForServices('math'), 'the service')
  t.is(await b.broker.call('math.add', { a: 2, b: 3 }), 5)
})

test('all nodes may have the same list, with their own addresses in it', async (t) => {
  const ports = [await freePort(), await freePort(), await freePort()]
  const nodes = ports.map((port) => `127.0.0.1:${port}`)
  const started = await Promise.all(
    ports.map((port, at) => startNode(t, `n${at}`, { listen: { host: '127.0.0.1', port }, nodes })),
  )
  for (const node of started) {
    for (const at of ports.keys()) await eventually(() => knows(node, `n${at}`), `n${at}`)
    t.deepEqual(node.errors, [])
  }
})

test('nodes may be started in any order', async (t) => {
  const port = await freePort()
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${port}`] })
  t.false(knows(a, 'b'))
  await startNode(t, 'b', { listen: { host: '127.0.0.1', port } }, [mathService()])
  await within(a.broker.waitForServices('math'), 'the service')
  t.is(await a.broker.call('math.add', { a: 1, b: 1 }), 2)
})

test('thousands of calls at a time, and large ones, each get their own reply', async (t) => {
  const b = await startNode(t, 'b', {}, [mathService()])
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${portOf(b)}`] })
  await within(a.broker.waitForServices('math'), 'the service')
  const sums = Array.from({ length: 5000 }, (_, at) =>
    a.broker.call<number, object>('math.add', { a: at, b: at }),
  )
  const all = await within(Promise.all(sums), 'all replies')
  t.deepEqual(
    all,
    Array.from({ length: 5000 }, (_, at) => 2 * at),
  )
  const value = 'ü'.repeat(2_000_000)
  t.true((await within(a.broker.call('math.same', { value }), 'a large reply')) === value)
  await t.throwsAsync(a.broker.call('math.same', { value: 'x'.repeat(17 << 20) }), {
    code: 'ERR_OUT_OF_RANGE' as never,
  })
  t.is(await a.broker.call('math.add', { a: 1, b: 1 }), 2)
})

test('a broken connection is told to callers, and the nodes find each other again', async (t) => {
  const b = await startNode(t, 'b', {}, [mathService()])
  const sockets = new Set<Socket>()
  const proxy = createServer((socket) => {
    const far = connect({ host: '127.0.0.1', port: portOf(b) })
    for (const each of [socket, far]) {
      sockets.add(each)
      each.on('error', () => {})
    }
    socket.pipe(far).pipe(socket)
  })
  proxy.listen(0, '127.0.0.1')
  t.teardown(() => {
    proxy.close()
    for (const socket of sockets) socket.destroy()
  })
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${port}`] })
  await within(a.broker.waitForServices('math'), 'the service')
  for (let round = 0; round < 3; round++) {
    const never = t.throwsAsync(within(a.broker.call('math.never'), 'a rejection'), {
      instanceOf: Errors.RequestRejectedError,
    })
    t.is(await a.broker.call('math.add', { a: 1, b: 1 }), 2)
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    await never
    await within(a.broker.waitForServices('math'), 'the service again')
    t.is(await within(a.broker.call('math.add', { a: 2, b: 2 }), 'a reply'), 4)
  }
})

test('a node that stops takes its leave: what has begun is answered first', async (t) => {
  const { promise: gate, resolve: open } = deferred()
  let hasBegun = false
  const slow: ServiceSchema = {
    name: 'slow',
    actions: {
      async answer() {
        hasBegun = true
        await gate
        return 'answered'
      },
    },
  }
  const b = await startNode(t, 'b', {}, [slow], { tracking: { enabled: true } })
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${portOf(b)}`] })
  await within(a.broker.waitForServices('slow'), 'the service')
  const answer = a.broker.call('slow.answer')
  await eventually(() => hasBegun, 'the call')
  const stopped = b.broker.stop()
  await eventually(() => !a.broker.registry.actions.isAvailable('slow.answer'), 'the leave')
  await t.throwsAsync(a.broker.call('slow.answer'), { instanceOf: Errors.ServiceNotAvailableError })
  open()
  t.is(await within(answer, 'the call under way'), 'answered')
  await within(stopped, 'the end')
  await eventually(() => !knows(a, 'b'), 'the end of b')
  t.deepEqual(a.errors, [])
})

test('a node that is started anew on its port is found again', async (t) => {
  const port = await freePort()
  const listen = { host: '127.0.0.1', port }
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${port}`] })
  for (let round = 0; round < 3; round++) {
    const b = await startNode(t, 'b', { listen }, [mathService()])
    await within(a.broker.waitForServices('math'), 'the service')
    t.is(await a.broker.call('math.add', { a: round, b: 1 }), round + 1)
    await within(b.broker.stop(), 'the end of b')
    await eventually(() => !knows(a, 'b'), 'the end of b at a')
  }
})
