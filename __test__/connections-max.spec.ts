import test from 'ava'
import { createEventLoop, createListener, type Connection, stats } from 'nodepoll'

import { Child } from './helpers/child.ts'
import { block, Countdown, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { startServer } from './helpers/server.ts'

const echo = ({ input, writer }: Connection): void => {
  writer.append(input).flush()
}

test.serial('H78: peers beyond connectionsMax wait, and all are served in the end', async (t) => {
  await leakCheck(t)
  const clients = 400
  let most = 0
  const server = await startServer(t, {
    connectionsMax: 20,
    onConnect: () => void (most = Math.max(most, stats().connections)),
    onRequest: echo,
  })
  const all = new Countdown(clients)
  const peers = await Promise.all(
    Array.from({ length: clients }, () => Peer.connect(t, server.address)),
  )
  block(300)
  t.true(stats().connections <= 20, 'also while JavaScript is busy')
  for (const peer of peers) {
    void (async () => {
      await peer.send('ping')
      const pong = await peer.read(4)
      if (pong.toString() === 'ping') all.pass()
      peer.end()
    })()
  }
  await within(all.reached, 'all are served')
  t.true(most <= 20, `${most} at a time`)
})

test.serial('listeners of one loop share connectionsMax', async (t) => {
  await leakCheck(t)
  const loop = createEventLoop({ connectionsMax: 3, onRequest: echo })
  const listeners = await Promise.all(
    [1, 2].map(() => createListener({ host: '127.0.0.1', port: 0 })),
  )
  const served = listeners.map((listener) => loop.serve(listener))
  const peers: Peer[] = []
  for (const { address } of [...listeners, ...listeners, ...listeners]) {
    peers.push(await Peer.connect(t, address))
  }
  await eventually(() => loop.connectionCount === 3, 'three connections')
  for (let left = peers.length; left > 0; left--) {
    for (let round = 0; round < 5; round++) await turn()
    t.is(loop.connectionCount, Math.min(3, left))
    const [first] = loop.connections()
    await first?.close()
    await eventually(() => loop.connectionCount === Math.min(3, left - 1), 'the next one')
  }
  await within(loop.shutdown(), 'shutdown()')
  await Promise.all(served)
})

test.serial('H20: a shutdown lets in those that wait for a place, and ends', async (t) => {
  await leakCheck(t)
  let served = 0
  const server = await startServer(t, {
    connectionsMax: 2,
    onRequest(connection) {
      served++
      return echo(connection)
    },
  })
  const peers = await Promise.all(Array.from({ length: 5 }, () => Peer.connect(t, server.address)))
  for (const peer of peers) await peer.send('ping')
  await eventually(() => served === 2, 'as many as may be')
  await within(server.shutdown(), 'shutdown()')
  t.is(served, 5)
  for (const peer of peers) t.is((await peer.read(4)).toString(), 'ping')
})

test.serial('H93: connections that end in every way give their place back', async (t) => {
  await leakCheck(t)
  const ends: ((connection: Connection) => unknown)[] = [
    (connection) => connection.destroy(),
    (connection) => connection.reset(),
    (connection) => void connection.close(),
    () => {
      throw new Error('enough')
    },
    () => {},
  ]
  let served = 0
  const server = await startServer(t, {
    connectionsMax: 5,
    onRequest(connection) {
      served++
      connection.input.skip(connection.input.length)
      return ends[served % ends.length]?.(connection) as undefined
    },
    onError: () => {},
  })
  const clients = 300
  await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      const peer = await Peer.connect(t, server.address)
      await peer.send('x').catch(() => {})
      if (index % 3 === 0) peer.end()
      else if (index % 5 === 4) setTimeout(() => peer.socket.destroy(), 20)
      await eventually(() => served > index / 2, 'the others')
      peer.socket.destroy()
    }),
  )
  await eventually(() => server.loop.connectionCount === 0, 'all have gone')
  // All places are free: five are served at once.
  const peers = await Promise.all(Array.from({ length: 6 }, () => Peer.connect(t, server.address)))
  await eventually(() => server.loop.connectionCount === 5, 'five')
  t.is(stats().connections, 5)
  for (const peer of peers) peer.socket.destroy()
})

const exhausted = `
  import { openSync, closeSync } from 'node:fs'
  import { setTimeout as later } from 'node:timers/promises'
  import { createInterface } from 'node:readline'
  import { serve, stats } from 'nodepoll'
  const errors = []
  const server = await serve({
    host: '127.0.0.1',
    onRequest: ({ input, writer }) => void writer.append(input).flush(),
    onError: (error, connection) => void errors.push(error.code + String(connection)),
  })
  const files = []
  for (;;) {
    try { files.push(openSync('/dev/null')) } catch { break }
  }
  console.log('port', server.address.port)
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'look') {
      const { turns } = stats()
      await later(1000)
      console.log('looked', stats().turns - turns, JSON.stringify(errors), stats().connections)
    }
    if (line === 'free') for (const file of files.splice(0)) closeSync(file)
    if (line === 'close') {
      const began = performance.now()
      await server.close()
      console.log('closed', performance.now() - began < 1000)
      await server.shutdown()
      break
    }
  }
  process.stdin.destroy()
`

for (const frees of [true, false]) {
  test.serial(
    frees
      ? 'H46, H73: at the descriptor limit peers wait, and are accepted when there are some'
      : 'H22: a listener that has no descriptors can be closed',
    async (t) => {
      const child = new Child(exhausted, [], 128)
      t.teardown(() => child.process.kill('SIGKILL'))
      const port = Number((await child.line(/port (\d+)/))[1])
      const where = { family: 'IPv4', address: '127.0.0.1', port } as const
      const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.connect(t, where)))
      await Promise.all(peers.map((peer) => peer.send('ping')))
      child.process.stdin?.write('look\n')
      const [, turns, errors] = await child.line(/looked (\d+) (\S+) /)
      t.true(Number(turns) < 40, `${turns} turns in a second`)
      t.deepEqual(JSON.parse(errors as string), ['EMFILEundefined'])
      if (frees) {
        child.process.stdin?.write('free\n')
        for (const peer of peers) t.is((await peer.read(4)).toString(), 'ping')
      }
      child.process.stdin?.write('close\n')
      if (frees) for (const peer of peers) peer.end()
      else for (const peer of peers) peer.socket.destroy()
      t.is((await child.line(/closed (\w+)/))[1], 'true')
      t.is((await child.end()).code, 0)
    },
  )
}
