import test from 'ava'
import { type RpcServer, serveRpc } from 'nodepoll/rpc'

import {
  codeOf,
  type Deferred,
  deferred,
  eventually,
  failureOf,
  within,
} from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import {
  callFrame,
  clientOf,
  endRpc,
  frame,
  KINDS,
  rawClient,
  readFrame,
  startRpc,
} from './helpers/rpc.ts'

const DRAINING = 'ERR_NODEPOLL_RPC_DRAINING'

test.serial('a shutdown answers what has begun, refuses what is new, and ends', async (t) => {
  await leakCheck(t)
  const gates: Deferred<string>[] = []
  const server = await startRpc(t, {
    handler() {
      const gate = deferred<string>()
      gates.push(gate)
      return gate.promise
    },
  })
  const peer = await rawClient(t, server)
  await peer.send(callFrame(1, 'm', '0'))
  await eventually(() => server.callCount === 1, 'the call')
  const down = server.shutdown({ deadlineMs: 10_000 })
  const goAway = await readFrame(peer)
  t.deepEqual([goAway.kind, goAway.name], [KINDS.goAway, DRAINING])
  await peer.send(callFrame(2, 'm', '0'))
  const refused = await readFrame(peer)
  t.deepEqual([refused.kind, refused.id, refused.name], [KINDS.failure, 2, DRAINING])
  gates[0]?.resolve('at last')
  t.deepEqual(await readFrame(peer), { kind: KINDS.reply, id: 1, name: '', rest: '"at last"' })
  // This client does not end its connection, so that the server does.
  await peer.readToEnd()
  await within(down, 'the shutdown')
  t.is(gates.length, 1)
})

test.serial(
  'a client makes refused calls over another connection by itself, and loses none',
  async (t) => {
    t.timeout(60_000)
    await leakCheck(t)
    const begun = new Map<number, number>()
    const methods = {
      async work(number: number) {
        begun.set(number, (begun.get(number) ?? 0) + 1)
        await new Promise((resolve) => setImmediate(resolve))
        return number
      },
    }
    const servers = await Promise.all([startRpc(t, { methods }), startRpc(t, { methods })])
    const ports = servers.map(({ address }) => (address as { port: number }).port)
    const client = clientOf(t, servers, { connections: 4, backoffMs: 1, backoffMaxMs: 5 })
    const end = new AbortController()
    let number = 0
    let done = 0
    async function caller(): Promise<void> {
      while (!end.signal.aborted) {
        const own = number++
        t.is(await client.call('work', own), own)
        done++
      }
    }
    const callers = Promise.all(Array.from({ length: 40 }, caller))
    // One after the other is replaced, under load.
    for (let round = 0; round < 6; round++) {
      const index = round % 2
      const before = done
      await eventually(() => done > before + 200, 'some calls')
      await within(servers[index]!.shutdown({ deadlineMs: 10_000 }), 'a shutdown')
      servers[index] = await startRpc(t, { methods, port: ports[index]! })
    }
    const before = done
    await eventually(() => done > before + 200, 'some calls')
    end.abort()
    await within(callers, 'the callers')
    t.is(done, number)
    t.true(
      [...begun.values()].every((count) => count === 1),
      'no call was begun twice',
    )
  },
)

test.serial(
  'a client ends the connections of a server that goes away once they have no calls',
  async (t) => {
    await leakCheck(t)
    const gate = deferred<string>()
    const server = await startRpc(t, { methods: { wait: () => gate.promise, now: () => 'now' } })
    const client = clientOf(t, server, { connections: 2 })
    const call = client.call('wait')
    await client.call('now')
    await eventually(() => client.connectionCount === 2, 'both connections')
    const down = server.shutdown()
    await eventually(() => server.connectionCount === 1, 'the end of the idle one')
    gate.resolve('answered')
    t.is(await call, 'answered')
    await within(down, 'the shutdown')
    t.is(codeOf(await failureOf(client.call('now'))), 'ERR_NODEPOLL_RPC_UNAVAILABLE')
  },
)

test.serial(
  'while a server that goes away answers its last call, the next ones go elsewhere',
  async (t) => {
    await leakCheck(t)
    const gate = deferred<string>()
    const make = (name: string): Promise<RpcServer> =>
      startRpc(t, { methods: { wait: () => gate.promise, name: () => name } })
    const [first, second] = [await make('first'), await make('second')]
    const client = clientOf(t, [first, second], { connections: 1 })
    t.is(await client.call('name'), 'first')
    const last = client.call('wait')
    await eventually(() => first.callCount === 1, 'the call')
    const down = first.shutdown()
    await eventually(() => client.connectionCount === 0, 'word of the shutdown')
    t.is(await within(client.call('name'), 'a call'), 'second')
    gate.resolve('the last')
    t.is(await last, 'the last')
    await within(down, 'the shutdown')
  },
)

test.serial('at its deadline a shutdown rejects, and by force ends what is left', async (t) => {
  await leakCheck(t)
  const signals: AbortSignal[] = []
  const server = await startRpc(t, {
    handler(_, { signal }) {
      signals.push(signal)
      return new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
  })
  const client = clientOf(t, server)
  const call = failureOf(client.call('m'))
  await eventually(() => signals.length === 1, 'the call')
  const soft = await failureOf(server.shutdown({ deadlineMs: 20 }))
  t.deepEqual([codeOf(soft), signals[0]?.aborted], ['ERR_NODEPOLL_DEADLINE', false])
  const aborter = new AbortController()
  const given = failureOf(server.shutdown({ signal: aborter.signal }))
  aborter.abort(new Error('given up'))
  t.is(codeOf(await given), 'ERR_NODEPOLL_DEADLINE')
  const hard = await failureOf(server.shutdown({ deadlineMs: 20, force: true }))
  t.is(codeOf(hard), 'ERR_NODEPOLL_DEADLINE')
  t.is(codeOf(await call), 'ERR_NODEPOLL_RPC_CONNECTION_LOST')
  await within(server.finished, 'the end')
  t.true(signals[0]?.aborted)
})

test.serial(
  'who comes during a shutdown is told, and a server that only refuses ends a call by name',
  async (t) => {
    await leakCheck(t)
    const gate = deferred()
    const server = await startRpc(t, { methods: { wait: () => gate.promise } })
    const peer = await rawClient(t, server)
    await peer.send(callFrame(1, 'wait', '0'))
    await eventually(() => server.callCount === 1, 'the call')
    const down = server.shutdown()
    await readFrame(peer)
    await peer.send(frame(KINDS.ping, 4))
    t.is((await readFrame(peer)).kind, KINDS.pong)
    gate.resolve()
    peer.end()
    await within(down, 'the shutdown')
    const again = await serveRpc({ host: '127.0.0.1' })
    await within(again[Symbol.asyncDispose](), 'the end')
    await endRpc(again)
  },
)
