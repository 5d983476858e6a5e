import { getEventListeners, once, setMaxListeners } from 'node:events'
import { connect } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { type Connection, dial, type DialOptions, type NodepollError, stats } from 'nodepoll'

import { startBlackHole } from './helpers/black-hole.ts'
import { block, codeOf, deferred, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { freePort } from '../scripts/free-port.mjs'
import { leakCheck } from './helpers/leaks.ts'
import { fakeNames } from './helpers/names.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, echoServer, portOf, startNetServer, startServer } from './helpers/server.ts'

const host = '127.0.0.1'

/** The time that an address has for itself before the next one is tried as well. */
const STEP_MS = 250

test.serial('H44: a dial without an answer fails after its timeout, not before', async (t) => {
  await leakCheck(t)
  const { port } = await startBlackHole(t)
  const began = performance.now()
  const error = await failureOf(dial({ host, port, timeoutMs: 150 }))
  const ms = performance.now() - began
  t.like(error, { code: 'ERR_NODEPOLL_DIAL_TIMEOUT', name: 'NodepollError' })
  t.true(ms >= 149 && ms < 2_000, `after ${ms} ms`)
  await eventually(
    () => stats().connections === 0,
    () => `${stats().connections} sockets are left`,
  )
})

test.serial('the timeout of a dial covers looking up the name', async (t) => {
  await leakCheck(t)
  const answer = deferred<string[]>()
  fakeNames(t, () => answer.promise)
  const { dials } = stats()
  const error = await failureOf(dial({ host: 'slow.test', port: 1, timeoutMs: 30 }))
  t.like(error, { code: 'ERR_NODEPOLL_DIAL_TIMEOUT' })
  // An answer that comes too late is not acted on.
  const second = failureOf(dial({ host: 'slow.test', port: 1, timeoutMs: 10_000 }))
  answer.resolve([host])
  t.like(await second, { code: 'ECONNREFUSED' })
  t.is(stats().dials, dials + 1)
})

test.serial('the timeout of a dial is over once it has connected', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t)
  const { port } = await startBlackHole(t)
  const connection = await dialTo(t, server.address, { timeoutMs: 100 })
  t.like(await failureOf(dial({ host, port, timeoutMs: 200 })), {
    code: 'ERR_NODEPOLL_DIAL_TIMEOUT',
  })
  connection.write('still there')
  t.is(await within(connection.reader.readString(11), 'an echo'), 'still there')
})

test.serial('H104: a dial with a signal that is aborted already opens no socket', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t)
  const port = portOf(server.address)
  const { dials } = stats()
  const reason = new Error('mine')
  const signal = AbortSignal.abort(reason)
  t.is(await failureOf(dial({ host, port, signal })), reason)
  t.is((await failureOf(dial({ host, port, signal: AbortSignal.abort() }))).name, 'AbortError')
  let lookups = 0
  fakeNames(t, () => [`127.0.0.${++lookups}`])
  t.is(await failureOf(dial({ host: 'some.test', port, signal })), reason)
  t.is(lookups, 0)
  t.is(stats().dials, dials)
  t.deepEqual(getEventListeners(signal, 'abort'), [])
})

for (const during of ['connecting', 'looking up the name'] as const) {
  test.serial(`H104: an abort while ${during} ends a dial with the reason`, async (t) => {
    await leakCheck(t)
    const { port } = await startBlackHole(t)
    fakeNames(t, () => new Promise<string[]>(() => {}))
    const name = during === 'connecting' ? host : 'slow.test'
    const controller = new AbortController()
    const { signal } = controller
    const { dials } = stats()
    const dialling = failureOf(dial({ host: name, port, signal, timeoutMs: 10_000 }))
    await eventually(
      () => during !== 'connecting' || stats().dials === dials + 1,
      'a dial under way',
    )
    t.is(getEventListeners(signal, 'abort').length, 1)
    const reason = { its: 'reason' }
    controller.abort(reason)
    t.is(await within(dialling, 'the end of a dial', 1_000), reason as never)
    t.deepEqual(getEventListeners(signal, 'abort'), [])
  })
}

test.serial('a signal that is aborted after the dial leaves the connection alone', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t)
  const controller = new AbortController()
  const connection = await dialTo(t, server.address, { signal: controller.signal })
  controller.abort()
  connection.write('here')
  t.is(await within(connection.reader.readString(4), 'an echo'), 'here')
  t.false(connection.signal.aborted)
})

test.serial(
  'H104: an abort in a handler leaves nothing of a dial that succeeds in the same batch',
  async (t) => {
    await leakCheck(t)
    const accepting = await startNetServer(t, (socket) => void socket.resume())
    const controller = new AbortController()
    const reason = new Error('mine')
    const server = await startServer(t, {
      onRequest({ input }) {
        input.skip(input.length)
        controller.abort(reason)
      },
    })
    const peer = await Peer.connect(t, server.address)
    await eventually(() => server.loop.connectionCount === 1, 'an accepted connection')
    const { dials } = stats()
    // JavaScript is busy while the one arrives and then the other: it hears of both at once.
    peer.socket.write('abort')
    block(30)
    const dialling = failureOf(dial({ host, port: accepting.port, signal: controller.signal }))
    block(60)
    t.is(await dialling, reason)
    t.is(stats().dials, dials + 1)
    await eventually(
      () => stats().connections === 1,
      () => `${stats().connections} connections`,
    )
  },
)

test.serial('H104: one signal for 1,000 dials keeps no listener, and none warns', async (t) => {
  await leakCheck(t)
  const warnings: Error[] = []
  const warned = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => void process.off('warning', warned))
  const server = await echoServer(t)
  const refusing = await freePort()
  const hole = await startBlackHole(t)
  const { signal } = new AbortController()
  // As many as wait at a time, so that those which stay would be warned of.
  setMaxListeners(100, signal)
  for (let round = 0; round < 10; round++) {
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const port = [portOf(server.address), refusing, hole.port][index % 3] as number
        const timeoutMs = port === hole.port ? 1 + (index % 20) : 10_000
        return outcomeOf({ host, port, signal, timeoutMs })
      }),
    )
    const expected = ['connected', 'ECONNREFUSED', 'ERR_NODEPOLL_DIAL_TIMEOUT']
    t.deepEqual(
      outcomes,
      outcomes.map((_, index) => expected[index % 3] as string),
    )
    t.deepEqual(getEventListeners(signal, 'abort'), [])
  }
  t.deepEqual(warnings, [])
})

/** Dials, and closes what has connected. */
async function outcomeOf(options: DialOptions): Promise<string> {
  let connection: Connection
  try {
    connection = await within(dial(options), 'a dial')
  } catch (error) {
    return String(codeOf(error))
  }
  connection.destroy()
  return 'connected'
}

test.serial(
  'H3: dials that give up after 1 ms settle once each, and disturb none between them',
  async (t) => {
    await leakCheck(t)
    const server = await echoServer(t)
    const refusing = await freePort()
    const hole = await startBlackHole(t)
    const accepting = await startNetServer(t, (socket) => void socket.resume())
    const counts = new Map<string, number>()
    const hasty = async (port: number): Promise<void> => {
      const outcome = await outcomeOf({ host, port, timeoutMs: 1 })
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    }
    const normal = async (index: number): Promise<void> => {
      const connection = await dial({ host, port: portOf(server.address) })
      const text = `number ${index}`
      connection.write(text)
      t.is(await within(connection.reader.readString(text.length), 'an echo'), text)
      await within(connection.close(), 'close()')
    }
    for (let round = 0; round < 10; round++) {
      const dials: Promise<void>[] = []
      for (let index = 0; index < 51; index++) {
        dials.push(hasty([accepting.port, refusing, hole.port][index % 3] as number))
        if (index % 10 === 0) dials.push(normal(index))
      }
      await Promise.all(dials)
    }
    const known = ['connected', 'ECONNREFUSED', 'ERR_NODEPOLL_DIAL_TIMEOUT']
    t.deepEqual(
      [...counts.keys()].filter((outcome) => !known.includes(outcome)),
      [],
    )
    t.is(
      [...counts.values()].reduce((sum, count) => sum + count),
      510,
    )
    t.true((counts.get('ERR_NODEPOLL_DIAL_TIMEOUT') ?? 0) >= 170)
    t.log(Object.fromEntries(counts))
  },
)

test.serial('H100: an address that never answers costs a quarter of a second', async (t) => {
  await leakCheck(t)
  const { port } = await startBlackHole(t)
  const good = await serverAt(t, '127.0.0.2', port)
  if (good === undefined) return
  fakeNames(t, () => [host, '127.0.0.2'])
  const { dials } = stats()
  const began = performance.now()
  const connection = await dial({ host: 'two.test', port })
  const ms = performance.now() - began
  t.true(ms >= STEP_MS - 5 && ms < 600, `after ${ms} ms`)
  t.like(connection.remoteAddress, { address: '127.0.0.2', port })
  t.is(stats().dials, dials + 2)
  // The attempt that has lost is given up, not left to itself.
  await eventually(
    () => stats().connections === 2,
    () => `${stats().connections} connections`,
  )
  connection.destroy()
  await connection.closed
})

test.serial('H100: when the first address answers the next is not tried', async (t) => {
  await leakCheck(t)
  const first = await echoServer(t)
  const port = portOf(first.address)
  const second = await serverAt(t, '127.0.0.2', port)
  if (second === undefined) return
  fakeNames(t, () => [host, '127.0.0.2'])
  const { dials } = stats()
  const connection = await dial({ host: 'two.test', port })
  t.like(connection.remoteAddress, { address: host })
  connection.write('x')
  await within(connection.reader.skip(1), 'an echo')
  t.is(stats().dials, dials + 1)
  t.is(second.loop.connectionCount, 0)
  connection.destroy()
  await connection.closed
})

test.serial('H100: when two addresses answer at once one connection stays', async (t) => {
  await leakCheck(t)
  const servers = [await echoServer(t)]
  const port = portOf((servers[0] as (typeof servers)[0]).address)
  const second = await serverAt(t, '127.0.0.2', port)
  if (second === undefined) return
  servers.push(second)
  fakeNames(t, () => [host, '127.0.0.2'])
  const ROUNDS = 6
  const { dials } = stats()
  for (let round = 0; round < ROUNDS; round++) {
    // After this timers come next.
    await turn()
    const dialling = dial({ host: 'two.test', port })
    // Looking up takes promises only. The answer of the first will be there, but JavaScript learns
    // of the time first, and tries the second as well.
    for (let step = 0; step < 20; step++) await Promise.resolve()
    block(STEP_MS + 20)
    const connection = await within(dialling, 'a dial')
    connection.write('mine')
    t.is(await within(connection.reader.readString(4), 'an echo'), 'mine')
    const open = (): number => servers.reduce((sum, { loop }) => sum + loop.connectionCount, 0)
    await eventually(() => open() === 1 && stats().connections === 2, 'one connection')
    connection.destroy()
    await connection.closed
  }
  const races = stats().dials - dials - ROUNDS
  t.log(`both were dialled in ${races} of ${ROUNDS} rounds`)
  t.true(races > 0)
})

test.serial('H100: when all addresses fail one error holds each, in the order tried', async (t) => {
  await leakCheck(t)
  const port = await freePort()
  fakeNames(t, () => ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1'])
  const error = (await failureOf(dial({ host: 'many.test', port }))) as NodepollError
  const errors = error.errors ?? []
  t.deepEqual(
    errors.map(({ address }) => address),
    ['::1', '127.0.0.1', '127.0.0.2', '127.0.0.3'],
  )
  for (const each of errors) {
    t.like(each, { name: 'NodepollError', port })
    t.true(typeof each.code === 'string' && typeof each.errno === 'number')
    t.true(error.message.includes(each.message))
  }
  t.is(error.code, String(errors[0]?.code))
  t.is(error.cause, errors[0])
  t.like(errors[1], { code: 'ECONNREFUSED', syscall: 'connect' })
})

test.serial('H100: the timeout of a dial covers all addresses together', async (t) => {
  await leakCheck(t)
  const { port } = await startBlackHole(t)
  fakeNames(t, () => [host, host, host, host])
  const { dials } = stats()
  const began = performance.now()
  const error = await failureOf(dial({ host: 'holes.test', port, timeoutMs: 2 * STEP_MS + 100 }))
  const ms = performance.now() - began
  t.like(error, { code: 'ERR_NODEPOLL_DIAL_TIMEOUT' })
  t.true(ms >= 2 * STEP_MS + 99 && ms < 2_000, `after ${ms} ms`)
  t.is(stats().dials, dials + 3)
})

test.serial('H100: 50 rounds of names with good, bad and silent addresses', async (t) => {
  await leakCheck(t)
  const { port } = await startBlackHole(t)
  const good = await serverAt(t, '127.0.0.2', port)
  if (good === undefined) return
  const names: Record<string, string[]> = {
    'good-first.test': ['127.0.0.2', host],
    'good-last.test': [host, '127.0.0.2'],
    'bad-first.test': ['127.0.0.3', '127.0.0.2'],
    'bad.test': ['127.0.0.3', '127.0.0.4'],
    'holes.test': [host, '127.0.0.3', host],
    'unknown.test': [],
  }
  const expected: Record<string, string> = {
    'bad.test': 'ECONNREFUSED',
    'holes.test': 'ERR_NODEPOLL_DIAL_TIMEOUT',
    'unknown.test': 'ENOTFOUND',
  }
  fakeNames(t, (name) => names[name] ?? [])
  await Promise.all(
    Array.from({ length: 50 }, async (_, round) => {
      const all = Object.keys(names)
      const name = all[round % all.length] as string
      const timeoutMs = name === 'holes.test' ? 300 : 10_000
      const outcome = await outcomeOf({ host: name, port, timeoutMs })
      t.is(outcome, expected[name] ?? 'connected', name)
    }),
  )
  await eventually(() => good.loop.connectionCount === 0, 'the end of all connections')
})

test.serial(
  'H96: a dial from the port that it dials is refused, whatever it leaves out',
  async (t) => {
    await leakCheck(t)
    const outcomes = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const port = await freePort()
      outcomes.add(await outcomeOf({ host, port, localPort: port }))
      outcomes.add(await outcomeOf({ host, port, localPort: port, localAddress: host }))
    }
    // A port that was just in use may be kept back for a while.
    outcomes.delete('EADDRINUSE')
    t.deepEqual([...outcomes], ['ECONNREFUSED'])
  },
)

test.serial('H97: a dial to a target that resets at once tells of the reset', async (t) => {
  await leakCheck(t)
  const { port } = await startNetServer(t, (socket) => void socket.resetAndDestroy())
  const codes = new Set<string | undefined>()
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      try {
        const connection = await dial({ host, port })
        await within(connection.reader.next(1), 'a read')
      } catch (error) {
        codes.add(codeOf(error))
      }
    }),
  )
  t.deepEqual([...codes], ['ECONNRESET'])
})

test.serial('H97: a dial to a target that cannot be reached says what node:net says', async (t) => {
  await leakCheck(t)
  const target = { host: '255.255.255.255', port: 9 }
  const error = await failureOf(once(connect(target), 'connect'), 'connecting with node:net')
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcomeOf(target)))
  t.deepEqual([...new Set(outcomes)], [String(codeOf(error))])
})

/** A server at another address with the same port; `undefined` where there is none. */
async function serverAt(
  t: ExecutionContext<unknown>,
  address: string,
  port: number,
): Promise<Awaited<ReturnType<typeof echoServer>> | undefined> {
  try {
    return await echoServer(t, { host: address, port })
  } catch (error) {
    t.log(`skipped: no server at ${address}: ${codeOf(error)}`)
    t.pass()
    return undefined
  }
}
