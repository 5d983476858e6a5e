import test from 'ava'
import { type Connection, createListener, dial, type DialOptions, stats } from 'nodepoll'

import { startBlackHole } from './helpers/black-hole.ts'
import { codeOf, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { portOf, startServer, whereOf } from './helpers/server.ts'
import { randomFrom } from './helpers/stream.ts'

const OPERATIONS = 4_000
const BETWEEN_LOOKS = 250
const OPEN_MAX = 200
const LIMIT = 20

test.serial('H93: after any operations as many connections are counted as there are', async (t) => {
  await leakCheck(t)
  const random = randomFrom(93)
  const pick = <T>(all: Iterable<T>): T | undefined => {
    const list = [...all]
    return list[Math.floor(random() * list.length)]
  }
  const free = await startServer(t, { onRequest: ({ input }) => input.skip(input.length) })
  const limited = await startServer(t, { connectionsMax: LIMIT })
  const hole = await startBlackHole(t)
  const closed = await createListener({ host: '127.0.0.1' })
  await closed.close()
  const dialled = new Set<Connection>()
  const peers = new Set<Peer>()
  const work = new Set<Promise<unknown>>()
  const outcomes: Record<string, number> = {}
  const track = (promise: Promise<unknown>): void => {
    const tracked = promise.finally(() => work.delete(tracked))
    work.add(tracked)
  }
  const tryToDial = async (options: DialOptions): Promise<void> => {
    const { signal } = options
    let outcome = 'connected'
    try {
      const connection = await dial(options)
      dialled.add(connection)
      connection.addCloseCallback(() => void dialled.delete(connection))
    } catch (error) {
      outcome = signal?.aborted ? (error as Error).name : String(codeOf(error))
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  const connectPeer = async (): Promise<void> => {
    const peer = await Peer.connect(t, (random() < 0.7 ? free : limited).address)
    peers.add(peer)
    void peer.closed.then(() => peers.delete(peer))
  }
  const operations: (() => unknown)[] = [
    () => track(tryToDial(whereOf((random() < 0.7 ? free : limited).address))),
    () => track(tryToDial({ host: '127.0.0.1', port: portOf(closed.address) })),
    () => track(tryToDial({ host: '127.0.0.1', port: hole.port, timeoutMs: 1 })),
    () => {
      const controller = new AbortController()
      const { signal } = controller
      track(tryToDial({ ...whereOf(free.address), signal }))
      if (random() < 0.5) controller.abort()
      else setImmediate(() => controller.abort())
    },
    () => track(connectPeer()),
    () => pick(dialled)?.destroy(),
    () => void pick(dialled)?.close(),
    () => pick(dialled)?.reset(),
    () => pick(free.loop.connections())?.reset(),
    () => void pick(free.loop.connections())?.close(),
    () => pick(limited.loop.connections())?.destroy(),
    () => pick(dialled)?.setIdleTimeout(1),
    () => pick(peers)?.end(),
    // Node never closes a socket that is reset after end().
    () => pick([...peers].filter(({ socket }) => !socket.writableEnded))?.reset(),
    () =>
      void pick(dialled)
        ?.closeWrite()
        .catch(() => {}),
    turn,
  ]
  const accepted = (): number => free.loop.connectionCount + limited.loop.connectionCount
  const describe = (): string =>
    JSON.stringify({
      counted: stats().connections,
      accepted: accepted(),
      dialled: dialled.size,
      limited: limited.loop.connectionCount,
    })
  for (let operation = 1; operation <= OPERATIONS; operation++) {
    await pick(operations)?.()
    if (stats().connections > OPEN_MAX) {
      for (const connection of [...dialled].slice(0, 20)) connection.destroy()
      for (const { socket } of [...peers].slice(0, 20)) socket.destroy()
      await turn()
    }
    if (limited.loop.connectionCount > LIMIT) t.fail(describe())
    if (operation % BETWEEN_LOOKS > 0) continue
    await within(Promise.all(work), 'dials and peers')
    await eventually(() => stats().connections === accepted() + dialled.size, describe)
  }
  t.log(outcomes)
  for (const outcome of ['connected', 'ECONNREFUSED', 'ERR_NODEPOLL_DIAL_TIMEOUT', 'AbortError']) {
    t.true((outcomes[outcome] ?? 0) > 50, outcome)
  }
  for (const connection of dialled) connection.destroy()
  for (const { socket } of peers) socket.destroy()
  await eventually(() => stats().connections === 0, describe)
  t.is(accepted() + dialled.size, 0)
})
