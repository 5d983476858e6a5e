import test from 'ava'
import { type Connection, createListener, dial, type Server } from 'nodepoll'

import { block, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { startServer } from './helpers/server.ts'
import { randomFrom, Stream } from './helpers/stream.ts'

const BATCHES = 1_000
const CONNECTIONS = 10
const MESSAGE_BYTES = 100

interface Member {
  readonly peer: Peer
  readonly sent: Stream
}

test.serial(
  'H62: handlers that act on each other inside 1,000 batches disturb nothing else',
  async (t) => {
    await leakCheck(t)
    const random = randomFrom(62)
    const problems: string[] = []
    const received = new Map<Connection, Stream>()
    const ended = new Set<Connection>()
    let depth = 0
    let bytesHandled = 0
    let nextSeed = 0
    const work: Promise<unknown>[] = []

    const anybody = (server: Server): Connection | undefined => {
      const all = [...server.loop.connections()]
      return all[Math.floor(random() * all.length)]
    }
    const act = (connection: Connection): void => {
      const other = anybody(server) ?? connection
      const pick = random()
      if (pick < 0.03) other.destroy()
      else if (pick < 0.06) void other.close()
      else if (pick < 0.3 && other.isActive) other.write('to somebody')
      else if (pick < 0.4) other.input.release()
      else if (pick < 0.42) work.push(dialAndClose(server))
      else if (pick < 0.44) work.push(listenAndClose())
      else if (pick < 0.5) other.addCloseCallback(() => {})
    }
    const server = await startServer(t, {
      onConnect(connection) {
        connection.addCloseCallback(() => {
          if (depth > 0) problems.push('a close callback inside a handler')
          ended.add(connection)
        })
      },
      onRequest(connection) {
        if (++depth > 1) problems.push('a handler inside a handler')
        if (ended.has(connection)) problems.push('a request after the close callbacks')
        const { input } = connection
        if (!received.has(connection) && input.length >= 4) {
          received.set(connection, new Stream(input.readBinary(4).readUInt32BE()))
        }
        const bytes = input.next(input.length)
        bytesHandled += bytes.length
        if (received.get(connection)?.matches(bytes) === false) problems.push('bytes differ')
        act(connection)
        depth--
      },
      onDisconnect() {
        if (depth > 0) problems.push('onDisconnect inside a handler')
      },
      onError: (error) => void problems.push(String(error)),
    })
    const join = async (): Promise<Member> => {
      const seed = nextSeed++
      const peer = await Peer.connect(t, server.address)
      const header = Buffer.alloc(4)
      header.writeUInt32BE(seed)
      peer.socket.write(header)
      return { peer, sent: new Stream(seed) }
    }
    const members: Member[] = []
    for (let index = 0; index < CONNECTIONS; index++) members.push(await join())
    for (let batch = 0; batch < BATCHES; batch++) {
      for (const [index, { peer }] of members.entries()) {
        if (peer.hasEnded || peer.socket.destroyed) members[index] = await join()
      }
      for (const { peer, sent } of members) peer.socket.write(sent.take(MESSAGE_BYTES))
      block(1)
      await turn()
    }
    await within(Promise.all(work), 'dials and listeners')
    for (const { peer } of members) peer.end()
    await eventually(() => server.loop.connectionCount === 0, 'all ends')
    t.deepEqual([...new Set(problems)], [])
    t.true(bytesHandled > (BATCHES * CONNECTIONS * MESSAGE_BYTES) / 2, `${bytesHandled} bytes`)
    t.true(nextSeed > CONNECTIONS * 2, 'connections were ended')
  },
)

async function dialAndClose(server: Server): Promise<void> {
  const { address } = server
  if (address.family === 'unix') return
  const connection = await dial({ host: address.address, port: address.port })
  await connection.close()
}

async function listenAndClose(): Promise<void> {
  const listener = await createListener({ host: '127.0.0.1' })
  await listener.close()
}

test.serial(
  'H62: no handler and no callback runs inside write(), flush() or close()',
  async (t) => {
    await leakCheck(t)
    let inside = 0
    const problems: string[] = []
    const guarded = (call: () => unknown): void => {
      inside++
      void call()
      inside--
    }
    const check = (what: string) => (): void => {
      if (inside > 0) problems.push(what)
    }
    const server = await startServer(t, {
      onConnect: (connection) => void connection.addCloseCallback(check('close callback')),
      onRequest(connection) {
        check('onRequest')()
        const { input, writer } = connection
        guarded(() => writer.append(input).flush())
        guarded(() => connection.write('and more'))
        if (connection.bytesRead > 500) guarded(() => connection.close())
      },
      onDisconnect: check('onDisconnect'),
    })
    const peers = await Promise.all(
      Array.from({ length: 50 }, () => Peer.connect(t, server.address)),
    )
    for (const { socket } of peers) {
      socket.on('error', () => {})
      socket.write(Buffer.alloc(1_000))
    }
    for (const { socket } of peers.slice(0, 10)) socket.resetAndDestroy()
    for (const peer of peers) await within(peer.closed, 'an ended socket')
    t.deepEqual(problems, [])
  },
)

test.serial(
  'H106: events of connections that the first handler of a batch destroys are not told',
  async (t) => {
    await leakCheck(t)
    let requests = 0
    let disconnects = 0
    let callbacks = 0
    let bytesShown = 0
    const server = await startServer(t, {
      onConnect(connection) {
        connection.addCloseCallback(() => {
          callbacks++
          bytesShown += connection.input.length
        })
      },
      onRequest() {
        requests++
        for (const connection of server.loop.connections()) connection.destroy()
      },
      onDisconnect: () => void disconnects++,
    })
    const peers: Peer[] = []
    for (let index = 0; index < 100; index++) peers.push(await Peer.connect(t, server.address))
    await eventually(() => server.loop.connectionCount === 100, 'all connections')
    for (const { socket } of peers) socket.write(Buffer.alloc(10_000))
    block(100)
    await eventually(() => callbacks === 100, 'all ends')
    t.is(requests, 1)
    t.is(disconnects, 0)
    t.true(bytesShown < 20_000, `${bytesShown} bytes`)
  },
)
