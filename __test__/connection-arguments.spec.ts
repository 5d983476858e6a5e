import test from 'ava'
import type { Connection } from 'nodepoll'

import { codeOf, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair, type Pair } from './helpers/server.ts'

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }

/** More than the kernel takes for a peer that does not read. */
const UNTAKEN_BYTES = 16 << 20

type Expected = typeof TYPE
type Setter = Exclude<
  {
    [Name in keyof Connection]: Connection[Name] extends (argument: never) => Connection
      ? Name
      : never
  }[keyof Connection],
  'ref' | 'unref' | 'pause' | 'resume'
>

const notNumbers = [undefined, '1', 1n, true, {}, [1]]
const millis = {
  right: [0, 1, 10_000, 2 ** 31 - 1],
  wrong: [
    ...[0.5, 2 ** 31, 2 ** 53, -1, Number.NaN, Infinity, -Infinity].map(ranged),
    ...[...notNumbers, null, new Date()].map(typed),
  ],
}
const times = {
  right: [
    null,
    0,
    -1,
    0.5,
    Date.now() + 1e6,
    2 ** 31,
    2 ** 53,
    8.64e15,
    new Date(0),
    new Date(8.64e15),
  ],
  wrong: [
    ...[Number.NaN, Infinity, -Infinity, new Date(Number.NaN), new Date('no date')].map(ranged),
    ...[...notNumbers, '2030-01-01T00:00:00Z', Symbol('time')].map(typed),
  ],
}
const booleans = {
  right: [true, false],
  wrong: [undefined, null, 0, 1, 'true', {}].map(typed),
}
const keepAlives = {
  right: [
    false,
    { idleMs: 1 },
    { idleMs: 32_767_000, intervalMs: 32_767_000, count: 127 },
    { idleMs: 1500, intervalMs: undefined, count: undefined },
  ],
  wrong: [
    ...[undefined, null, true, 1000, 'on', {}, [], { idleMs: '1' }].map(typed),
    ...[{ intervalMs: 1 }, { idleMs: 1, count: '2' }, { idleMs: 1, intervalMs: null }].map(typed),
    ...[{ idleMs: 0 }, { idleMs: 0.5 }, { idleMs: 32_767_001 }, { idleMs: Infinity }].map(ranged),
    ...[0, 2.5, 32_767_001].map((intervalMs) => ranged({ idleMs: 1, intervalMs })),
    ...[0, 1.5, 128].map((count) => ranged({ idleMs: 1, count })),
  ],
}
const functions = {
  right: [() => {}],
  wrong: [undefined, null, 1, 'f', {}].map(typed),
}

/** What each setter takes and what it refuses, with the error. */
const setters: Record<Setter, { right: unknown[]; wrong: [unknown, Expected][] }> = {
  setReadTimeout: millis,
  setWriteTimeout: millis,
  setIdleTimeout: millis,
  setReadDeadline: times,
  setWriteDeadline: times,
  setNoDelay: booleans,
  setKeepAlive: keepAlives,
  setOnRequest: functions,
  setOnDisconnect: functions,
  addCloseCallback: functions,
}

function typed(value: unknown): [unknown, Expected] {
  return [value, TYPE]
}

function ranged(value: unknown): [unknown, Expected] {
  return [value, RANGE]
}

for (const [name, { right, wrong }] of Object.entries(setters)) {
  test.serial(
    `H102: ${name}() takes what is documented and refuses the rest, and changes nothing then`,
    async (t) => {
      await leakCheck(t)
      const { connection, peer } = await openPair(t)
      const set = (value: unknown): unknown =>
        (connection[name as Setter] as (value: unknown) => unknown)(value)
      for (const [value, expected] of wrong) {
        t.like(
          t.throws(() => set(value), undefined, `${name}(${String(value)})`),
          expected,
          `${name}(${String(value)})`,
        )
      }
      for (const value of right) t.is(set(value), connection, `${name}(${String(value)})`)
      await peer.send('still here')
      await within(connection.reader.skip(10), 'input after the setters')
      t.true(connection.isActive)
      connection.destroy()
      await connection.closed
      // After the end the same is right and wrong, and does nothing.
      for (const [value, expected] of wrong)
        t.like(
          t.throws(() => set(value)),
          expected,
        )
      for (const value of right) t.is(set(value), connection)
    },
  )
}

/** Times that are long, or none: a timer that wraps or rounds would make them short. */
const longTimes = [0, 2 ** 31 - 1]

test.serial('H102: an idle timeout of none or of 25 days does not come early', async (t) => {
  await leakCheck(t)
  const patient = await Promise.all(longTimes.map(() => openPair(t)))
  for (const [index, { connection }] of patient.entries()) {
    connection.setIdleTimeout(1).setIdleTimeout(longTimes[index] as number)
  }
  const { connection: hasty } = await openPair(t)
  hasty.setIdleTimeout(20)
  t.is((await within(hasty.closed, 'the idle timeout')).by, 'timeout')
  for (const { connection } of patient) t.true(connection.isActive)
})

for (const kind of ['read', 'write'] as const) {
  test.serial(`H102: a ${kind} timeout of none or of 25 days does not come early`, async (t) => {
    await leakCheck(t)
    const outcomes: string[] = []
    // Node warns of a timer that it makes a short one.
    const warned = (warning: Error): unknown => outcomes.push(warning.name)
    process.on('warning', warned)
    t.teardown(() => void process.off('warning', warned))
    const patient = await Promise.all(longTimes.map(() => openPair(t)))
    for (const [index, pair] of patient.entries()) {
      const ms = longTimes[index] as number
      const waiting = wait(pair, (connection) =>
        kind === 'read' ? connection.setReadTimeout(ms) : connection.setWriteTimeout(ms),
      )
      void waiting.catch((error: unknown) => outcomes.push(`${ms}: ${codeOf(error)}`))
    }
    // Points in time beyond what timers take, and none, in the place of a timeout that is short.
    for (const at of [8.64e15, new Date(8.64e15), Date.now() + 2 ** 31, null]) {
      const waiting = wait(await openPair(t), (connection) =>
        kind === 'read'
          ? connection.setReadTimeout(at === null ? 0 : 1).setReadDeadline(at)
          : connection.setWriteTimeout(at === null ? 0 : 1).setWriteDeadline(at),
      )
      void waiting.catch((error: unknown) => outcomes.push(`${at}: ${codeOf(error)}`))
    }
    const hasty = wait(await openPair(t), (connection) =>
      kind === 'read' ? connection.setReadTimeout(20) : connection.setWriteTimeout(20),
    )
    const late = kind === 'read' ? 'ERR_NODEPOLL_READ_TIMEOUT' : 'ERR_NODEPOLL_WRITE_TIMEOUT'
    t.is(codeOf(await failureOf(hasty)), late)
    t.deepEqual(outcomes, [])
  })

  function wait({ connection, peer }: Pair, set: (connection: Connection) => void): Promise<void> {
    set(connection)
    if (kind === 'read') return connection.reader.wait(1)
    peer.socket.pause()
    connection.write(Buffer.alloc(UNTAKEN_BYTES))
    return connection.writer.drained()
  }
}
