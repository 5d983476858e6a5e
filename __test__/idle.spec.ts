import { setTimeout as later } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { stats } from 'nodepoll'

import { codeOf, eventually, failureOf, settled, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair, type Pair, temporaryPath } from './helpers/server.ts'

const COUNT = 10
const QUIET_MS = 1_000
/** For what came right before: a condition that is asked about again and again takes thousands. */
const TURNS_MAX = 5

interface State {
  readonly open: (t: ExecutionContext) => Promise<Pair>
  /** Brings it about, once it is open. */
  readonly enter: (pair: Pair) => unknown
  /** How it goes on afterwards. */
  readonly leave: (t: ExecutionContext, pair: Pair) => Promise<unknown>
}

const isHalfOpen = { allowHalfOpen: true }

/** What goes on being so and is not to be asked about. */
const states: Record<string, State> = {
  'paused, and the peer has sent FIN': {
    open: (t) => openPair(t),
    async enter({ connection, peer }) {
      connection.pause()
      peer.end('last words')
    },
    leave: readToEnd,
  },
  'paused, and the peer of a unix socket has closed': {
    open: (t) => openPair(t, { path: temporaryPath(t) }),
    async enter({ connection, peer }) {
      connection.pause()
      await peer.send('last words')
      peer.socket.destroy()
    },
    leave: readToEnd,
  },
  'at its input limit, and the peer goes on sending': {
    open: (t) => openPair(t, { readBufferMax: 1_000 }),
    enter: ({ peer }) => void peer.send(Buffer.alloc(8 << 20)).catch(() => {}),
    async leave(t, { connection }) {
      t.is(connection.input.length, 1_000)
      await within(connection.reader.skip(100_000), 'what was held back')
    },
  },
  'half-closed by the peer, with nothing to write': {
    open: (t) => openPair(t, isHalfOpen, isHalfOpen),
    enter: ({ peer }) => peer.end(),
    async leave(t, { connection, peer }) {
      connection.write('still here')
      t.is(String(await peer.read(10)), 'still here')
    },
  },
  'half-closed by us': {
    open: (t) => openPair(t, {}, isHalfOpen),
    enter: ({ connection }) => connection.closeWrite(),
    async leave(t, { connection, peer }) {
      await peer.send('still here')
      t.is(await within(connection.reader.readString(10), 'input'), 'still here')
    },
  },
  'full of output that the peer never reads': {
    open: (t) => openPair(t),
    enter({ connection, peer }) {
      peer.socket.pause()
      connection.write(Buffer.alloc(16 << 20))
    },
    async leave(t, { connection, peer }) {
      t.true(connection.writer.pendingLength > 0)
      peer.socket.resume()
      await within(connection.writer.drained(), 'drained()')
    },
  },
}

async function readToEnd(t: ExecutionContext, { connection }: Pair): Promise<void> {
  connection.resume()
  t.is(await within(connection.reader.readString(10), 'what came before'), 'last words')
  t.is(codeOf(await failureOf(connection.reader.next(1))), 'ERR_NODEPOLL_EOF')
  t.deepEqual(await within(connection.closed, 'the end'), { by: 'peer' })
}

for (const [state, { open, enter, leave }] of Object.entries(states)) {
  test.serial(`H10: ${COUNT} connections cost nothing while each is ${state}`, async (t) => {
    await leakCheck(t)
    const pairs = await Promise.all(Array.from({ length: COUNT }, () => open(t)))
    for (const pair of pairs) await enter(pair)
    await settled(() => stats().turns)
    const before = stats()
    await later(QUIET_MS)
    const after = stats()
    t.true(after.turns - before.turns <= TURNS_MAX, `${after.turns - before.turns} turns`)
    t.true(after.exchanges - before.exchanges <= TURNS_MAX)
    await Promise.all(pairs.map((pair) => leave(t, pair)))
    for (const { connection } of pairs) connection.destroy()
    await eventually(
      () => pairs.every(({ server }) => server.loop.connectionCount === 0),
      'the end',
    )
  })
}
