import type { Socket } from 'node:net'

import test from 'ava'
import { connectRpc, type RpcClient, type RpcServer } from 'nodepoll/rpc'

import { codeOf, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { clientOf, endRpc, frame, KINDS, preface, PREFACE_BYTES, startRpc } from './helpers/rpc.ts'
import { portOf, startNetServer } from './helpers/server.ts'

const methods = { who: () => 'here', echo: (value: unknown) => value }

test.serial('nothing is dialled before there is a call, and no more than calls need', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const server = await startRpc(t, { methods: { ...methods, wait: () => gate.promise } })
  const client = clientOf(t, server, { connections: 3 })
  await clientOf(t, server, { connections: 1 }).call('who')
  t.is(server.connectionCount, 1)
  for (let count = 0; count < 20; count++) await client.call('who')
  t.deepEqual([client.connectionCount, server.connectionCount], [1, 2])
  const waiting = Array.from({ length: 12 }, () => client.call('wait'))
  await eventually(() => server.callCount === 12, 'all calls')
  await eventually(() => client.connectionCount === 3, 'the connections')
  t.is(server.connectionCount, 4)
  gate.resolve()
  await within(Promise.all(waiting), 'the replies')
})

test.serial(
  'connections are spread over targets, and each target that is down is passed over',
  async (t) => {
    await leakCheck(t)
    const servers = await Promise.all(
      [0, 1, 2].map((index) =>
        startRpc(t, { handler: () => new Promise(() => {}), methods: { me: () => index } }),
      ),
    )
    const [gone] = servers
    await endRpc(gone as RpcServer)
    const client = clientOf(t, servers, { connections: 6 })
    const stuck = Array.from({ length: 12 }, () => client.call('stuck').catch(() => {}))
    await eventually(() => client.connectionCount === 6, 'all connections')
    t.deepEqual(
      servers.map(({ connectionCount }) => connectionCount > 0),
      [false, true, true],
    )
    const replies = await Promise.all(Array.from({ length: 12 }, () => client.call<number>('me')))
    t.deepEqual([...new Set(replies)].toSorted(), [1, 2])
    client.destroy()
    await within(Promise.all(stuck), 'the ends of all calls')
  },
)

test.serial('without a target calls fail by name, with what dialling it has said', async (t) => {
  await leakCheck(t)
  const { server } = await startNetServer(t, () => {})
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  const client = clientOf(t, port, { connections: 2, backoffMs: 1, backoffMaxMs: 2 })
  for (let count = 0; count < 3; count++) {
    const error = await failureOf(client.call('m'))
    t.deepEqual(
      [codeOf(error), codeOf(error.cause)],
      ['ERR_NODEPOLL_RPC_UNAVAILABLE', 'ECONNREFUSED'],
    )
  }
  t.is(client.callCount, 0)
})

test.serial('the pool heals: after a server has come back, calls go on', async (t) => {
  await leakCheck(t)
  const first = await startRpc(t, { methods })
  const port = portOf(first.address)
  const client = clientOf(t, first, { connections: 3, backoffMs: 1, backoffMaxMs: 4 })
  await Promise.all(Array.from({ length: 9 }, () => client.call('who')))
  await endRpc(first)
  const failure = await failureOf(client.call('who'))
  t.true(
    ['ERR_NODEPOLL_RPC_UNAVAILABLE', 'ERR_NODEPOLL_RPC_CONNECTION_LOST'].includes(
      codeOf(failure) as string,
    ),
  )
  for (let count = 0; count < 10; count++) await failureOf(client.call('who'))
  await startRpc(t, { port, methods })
  while (!(await within(succeeds(client), 'a call'))) await turn()
  const replies = await Promise.all(Array.from({ length: 30 }, () => client.call('who')))
  t.deepEqual(new Set(replies), new Set(['here']))
  await eventually(() => client.connectionCount >= 1, 'connections')
})

test.serial('pauses begin anew after a connection that was of use', async (t) => {
  t.timeout(60_000)
  await leakCheck(t)
  let server = await startRpc(t, { methods })
  const port = portOf(server.address)
  const client = clientOf(t, server, { connections: 1, backoffMs: 1, backoffMaxMs: 60_000 })
  // Doubled each time they would come to a minute.
  for (let round = 0; round < 16; round++) {
    while (!(await within(succeeds(client), 'a call'))) await turn()
    await endRpc(server)
    await failureOf(client.call('who'))
    server = await startRpc(t, { port, methods })
  }
  t.is(await within(client.call('who'), 'a call'), 'here')
})

function succeeds(client: RpcClient): Promise<boolean> {
  return client.call('who').then(
    () => true,
    () => false,
  )
}

test.serial('a target that fails is not dialled without a pause', async (t) => {
  await leakCheck(t)
  let accepted = 0
  const { port } = await startNetServer(t, (socket) => {
    accepted++
    socket.destroy()
  })
  const client = clientOf(t, port, { connections: 1, backoffMs: 60_000, backoffMaxMs: 60_000 })
  await failureOf(client.call('m'))
  // It would be dialled again only after half a minute.
  const waits = client.call('m', 0, { timeoutMs: 50 })
  t.is(codeOf(await failureOf(waits)), 'ERR_NODEPOLL_RPC_TIMEOUT')
  t.is(accepted, 1)
})

test.serial(
  'a server that falls silent loses its connection, one that answers pings does not',
  async (t) => {
    await leakCheck(t)
    let answers = true
    let pings = 0
    const { port } = await startNetServer(t, (socket: Socket) => {
      socket.once('data', () => {
        socket.write(preface({ concurrency: 10 }))
        socket.on('data', (data) => {
          for (let at = 0; at + 12 <= data.length; at += 4 + data.readUInt32BE(at)) {
            if (data[at + 4] !== KINDS.ping) continue
            pings++
            if (answers) socket.write(frame(KINDS.pong, data.readUInt32BE(at + 8)))
          }
        })
      })
    })
    const client = clientOf(t, port, { connections: 1, pingMs: 20 })
    const call = failureOf(client.call('m'))
    await eventually(() => pings >= 4, 'some pings')
    t.is(client.connectionCount, 1)
    answers = false
    t.is(codeOf(await call), 'ERR_NODEPOLL_RPC_CONNECTION_LOST')
    t.is(client.connectionCount, 0)
  },
)

test.serial('a server of ours answers pings also while handlers are pending', async (t) => {
  await leakCheck(t)
  const gate = deferred<string>()
  const server = await startRpc(t, { methods: { wait: () => gate.promise } })
  const client = clientOf(t, server, { connections: 1, pingMs: 10 })
  const call = client.call('wait')
  // Many times as long as a silent server would have.
  await new Promise((resolve) => setTimeout(resolve, 300))
  gate.resolve('still there')
  t.is(await call, 'still there')
})

test.serial('a client that is closed while it dials leaves nothing behind', async (t) => {
  await leakCheck(t)
  const server = await startRpc(t, { methods })
  const client = connectRpc({ host: '127.0.0.1', port: portOf(server.address) })
  const call = failureOf(client.call('who'))
  client.destroy()
  t.is(codeOf(await call), 'ERR_NODEPOLL_RPC_CLOSED')
  await within(client.close(), 'the close')
  const other = connectRpc({ host: '127.0.0.1', port: portOf(server.address) })
  const reply = other.call('who')
  await within(other.close(), 'the close')
  t.is(await reply, 'here')
})

test.serial('unref() and ref() hold for the connections of now and of later', async (t) => {
  await leakCheck(t)
  const server = await startRpc(t, { methods })
  t.is(server.unref().ref(), server)
  const client = clientOf(t, server)
  t.is(client.unref(), client)
  t.is(await client.call('who'), 'here')
  t.is(client.ref(), client)
  t.is(await client.call('who'), 'here')
  t.is(PREFACE_BYTES, preface().length)
})
