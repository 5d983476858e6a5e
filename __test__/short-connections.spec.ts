import { setTimeout as later } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import type { Connection, ListenOptions } from 'nodepoll'

import { eventually, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { startServer, temporaryPath } from './helpers/server.ts'

const CYCLES = 1000
const AT_ONCE = 20

/** How a handler may settle after it has replied. */
const endings: Record<string, () => void | Promise<void>> = {
  'at once': () => {},
  'in a microtask': () => Promise.resolve(),
  'in a tick': () => new Promise((resolve) => process.nextTick(resolve)),
  'in a turn': () => new Promise((resolve) => setImmediate(resolve)),
  'after a timer': () => later(1),
}

for (const [kind, where] of [
  ['TCP', () => ({})],
  ['unix sockets', (t: ExecutionContext) => ({ path: temporaryPath(t) })],
] as [string, (t: ExecutionContext) => ListenOptions][]) {
  test.serial(
    `H12: ${CYCLES} cycles of connect, request, reply and close open and close equally, ${kind}`,
    async (t) => {
      await leakCheck(t)
      const counts = { opens: 0, closes: 0, callbacks: 0, errors: 0 }
      const settle = Object.values(endings)
      const server = await startServer(t, {
        ...where(t),
        onConnect(connection) {
          counts.opens++
          void connection.closed.then(() => counts.closes++)
          connection.addCloseCallback(() => void counts.callbacks++)
        },
        onRequest(connection: Connection) {
          connection.write(connection.input.readString(connection.input.length))
          return settle[counts.opens % settle.length]?.()
        },
        onError: () => void counts.errors++,
      })
      let cycle = 0
      const clients = Array.from({ length: AT_ONCE }, async () => {
        while (cycle++ < CYCLES) {
          const peer = await Peer.connect(t, server.address)
          await peer.send('request')
          t.is((await peer.read(7)).toString(), 'request')
          peer.end()
          t.is(await within(peer.closed, 'an ended socket'), undefined)
        }
      })
      await within(Promise.all(clients), 'all cycles', 25_000)
      await eventually(() => counts.callbacks === CYCLES, 'all close callbacks')
      t.deepEqual(counts, { opens: CYCLES, closes: CYCLES, callbacks: CYCLES, errors: 0 })
      t.is(server.loop.connectionCount, 0)
    },
  )
}
