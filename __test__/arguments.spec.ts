import { inspect } from 'node:util'

import test from 'ava'
import {
  configure,
  createEventLoop,
  createListener,
  dial,
  type LinkBuffer,
  serve,
  stats,
  type Writer,
} from 'nodepoll'

import { failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }

type Expected = typeof TYPE
type Call = (options: never) => unknown

const where = { host: '127.0.0.1', port: 0 }

/** Wrong options by call: what is given and what is said. Every call must refuse all of them. */
const wrongListen: [unknown, Expected][] = [
  [undefined, TYPE],
  [null, TYPE],
  ['127.0.0.1:80', TYPE],
  [80, TYPE],
  [{ port: '80' }, TYPE],
  [{ port: -1 }, RANGE],
  [{ port: 65_536 }, RANGE],
  [{ port: 1.5 }, RANGE],
  [{ port: Number.NaN }, RANGE],
  [{ port: null }, TYPE],
  [{ port: 0, host: 1 }, TYPE],
  [{ port: 0, host: '' }, VALUE],
  [{ path: 1 }, TYPE],
  [{ path: '' }, VALUE],
  [{ path: 'a\0b' }, VALUE],
  [{ path: 'a\0' }, VALUE],
  [{ path: '\0' }, VALUE],
  [{ path: '\0a\0b' }, VALUE],
  [{ path: '\0\0a' }, VALUE],
  [{ path: null }, TYPE],
  [{ path: '/tmp/x', port: 0 }, VALUE],
  [{ path: '\0x', host: 'localhost' }, VALUE],
  [{ path: '/tmp/x', port: 1 }, VALUE],
  [{ path: '/tmp/x', host: 'localhost' }, VALUE],
  [{ ...where, backlog: 0 }, RANGE],
  [{ ...where, backlog: '5' }, TYPE],
  [{ ...where, backlog: 1.5 }, RANGE],
  [{ ...where, backlog: 65_536 }, RANGE],
  [{ ...where, backlog: Number.NaN }, RANGE],
  ...['reusePort', 'ipv6Only'].flatMap((name) => wrongBooleans(name, where)),
  ...wrongSignals(where),
]

/** Wrong limits to time: 0 is none, and fractions are refused rather than rounded (H102). */
const wrongMillis: [unknown, Expected][] = [
  [0.5, RANGE],
  [1.5, RANGE],
  [2 ** 31, RANGE],
  [2 ** 53, RANGE],
  [-1, RANGE],
  [Number.NaN, RANGE],
  [Infinity, RANGE],
  [-Infinity, RANGE],
  ['1', TYPE],
  [1n, TYPE],
  [null, TYPE],
  [true, TYPE],
  [new Date(), TYPE],
]

const wrongKeepAlives: [unknown, Expected][] = [
  [true, TYPE],
  [null, TYPE],
  [1000, TYPE],
  ['on', TYPE],
  [{}, TYPE],
  [[], TYPE],
  [{ idleMs: '1' }, TYPE],
  [{ idleMs: 0 }, RANGE],
  [{ idleMs: 1.5 }, RANGE],
  [{ idleMs: Infinity }, RANGE],
  // One millisecond more than what every system takes.
  [{ idleMs: 32_767_001 }, RANGE],
  [{ idleMs: 1, intervalMs: '1' }, TYPE],
  [{ idleMs: 1, intervalMs: null }, TYPE],
  [{ idleMs: 1, intervalMs: 0 }, RANGE],
  [{ idleMs: 1, intervalMs: 2 ** 31 }, RANGE],
  [{ idleMs: 1, count: '1' }, TYPE],
  [{ idleMs: 1, count: 0 }, RANGE],
  [{ idleMs: 1, count: 1.5 }, RANGE],
  [{ idleMs: 1, count: 128 }, RANGE],
  [{ intervalMs: 1, count: 1 }, TYPE],
]

/** Wrong values of one option, beside others that are right. */
function wrongValues(
  name: string,
  wrong: readonly [unknown, Expected][],
  others: object,
): [unknown, Expected][] {
  return wrong.map(([value, expected]) => [{ ...others, [name]: value }, expected])
}

function wrongBooleans(name: string, others: object): [unknown, Expected][] {
  const values = [1, 0, 'true', null, {}]
  return values.map((value) => [{ ...others, [name]: value }, TYPE])
}

function wrongSignals(others: object): [unknown, Expected][] {
  const values = [null, 'signal', {}, { aborted: true }, new AbortController(), new EventTarget()]
  return values.map((signal) => [{ ...others, signal }, TYPE])
}

const wrongHandlers: [unknown, Expected][] = [
  ...['onRequest', 'onDisconnect', 'onError'].flatMap((name): [unknown, Expected][] => [
    [{ ...where, port: 1, [name]: 'not a function' }, TYPE],
    [{ ...where, port: 1, [name]: null }, TYPE],
  ]),
  [{ ...where, port: 1, autoRelease: 'yes' }, TYPE],
  [{ ...where, port: 1, autoRelease: 1 }, TYPE],
  ...['readBufferMax', 'writeBufferMax'].flatMap((name): [unknown, Expected][] => [
    [{ ...where, port: 1, [name]: '1' }, TYPE],
    [{ ...where, port: 1, [name]: 0 }, RANGE],
    [{ ...where, port: 1, [name]: 2.5 }, RANGE],
    [{ ...where, port: 1, [name]: 2 ** 31 }, RANGE],
    [{ ...where, port: 1, [name]: null }, TYPE],
    [{ ...where, port: 1, [name]: Number.NaN }, RANGE],
  ]),
  ...['readTimeoutMs', 'writeTimeoutMs', 'idleTimeoutMs'].flatMap((name) =>
    wrongValues(name, wrongMillis, { ...where, port: 1 }),
  ),
  ...['allowHalfOpen', 'noDelay', 'autoRelease'].flatMap((name) =>
    wrongBooleans(name, { ...where, port: 1 }),
  ),
  ...wrongValues('keepAlive', wrongKeepAlives, { ...where, port: 1 }),
]

/** What only loops have. */
const wrongLoop: [unknown, Expected][] = [
  ...['onPrepare', 'onConnect'].flatMap((name): [unknown, Expected][] => [
    [{ ...where, [name]: 'not a function' }, TYPE],
    [{ ...where, [name]: null }, TYPE],
    [{ ...where, [name]: {} }, TYPE],
  ]),
  ...[0, -1, 1.5, Number.NaN, Infinity, 2 ** 31].map((connectionsMax): [unknown, Expected] => [
    { ...where, connectionsMax },
    RANGE,
  ]),
  [{ ...where, connectionsMax: '1' }, TYPE],
  [{ ...where, connectionsMax: null }, TYPE],
]

const wrongDial: [unknown, Expected][] = [
  ...wrongListen.filter(([options]) => !hasOptionOfListening(options)),
  [{}, TYPE],
  [{ port: 0 }, RANGE],
  [{ port: 1, localAddress: 1 }, TYPE],
  [{ port: 1, localAddress: '' }, VALUE],
  [{ port: 1, localPort: -1 }, RANGE],
  [{ port: 1, localPort: 65_536 }, RANGE],
  [{ port: 1, localPort: '1' }, TYPE],
  [{ port: 1, localAddress: null }, TYPE],
  [{ port: 1, localPort: 1.5 }, RANGE],
  [{ port: 1, localPort: null }, TYPE],
  ...wrongValues('timeoutMs', wrongMillis, { port: 1 }),
  ...wrongSignals({ port: 1 }),
]

function hasOptionOfListening(options: unknown): boolean {
  const names = Object.keys(Object(options) as object)
  // A port of 0 would be refused first.
  return ['backlog', 'reusePort', 'ipv6Only', 'signal'].some((name) => names.includes(name))
}

const tables: [string, Call, [unknown, Expected][]][] = [
  ['createListener', createListener as Call, wrongListen],
  ['serve', serve as Call, [...wrongListen, ...wrongHandlers, ...wrongLoop]],
  ['dial', dial as Call, [...wrongDial, ...wrongHandlers]],
  [
    'createEventLoop',
    createEventLoop as Call,
    [[undefined, TYPE], [null, TYPE], ['x', TYPE], ...wrongLoop, ...wrongHandlers],
  ],
  [
    'configure',
    configure as Call,
    [
      [undefined, TYPE],
      [null, TYPE],
      [1, TYPE],
      [{ host: 1 }, TYPE],
      [{ host: 'poller' }, VALUE],
      [{ pollers: '2' }, TYPE],
      [{ memoryMax: '1' }, TYPE],
      [{ loadBalance: 1 }, TYPE],
      [{ loadBalance: null }, TYPE],
      [{ loadBalance: '' }, VALUE],
      [{ loadBalance: 'RoundRobin' }, VALUE],
      [{ loadBalance: 'leastconnections' }, VALUE],
      [{ guard: 1 }, TYPE],
      [{ guard: 'on' }, TYPE],
      [{ guard: null }, TYPE],
      ...[0, -1, 1.5, Number.NaN, 1e9].map((pollers): [unknown, Expected] => [{ pollers }, RANGE]),
      ...[0, -1, 1.5, 1e30].map((memoryMax): [unknown, Expected] => [{ memoryMax }, RANGE]),
    ],
  ],
]

for (const [name, call, wrong] of tables) {
  test.serial(
    `H44: ${name}() refuses wrong options by Node's own codes, and leaves nothing`,
    async (t) => {
      await leakCheck(t)
      for (const [options, expected] of wrong) {
        const error = await failureOf(
          (async () => call(options as never))(),
          `${name}(${inspect(options)})`,
        )
        t.like(error, expected, `${name}(${inspect(options)}): ${error}`)
        t.true(namesArgument(error, options), `${name}(${inspect(options)}): ${error}`)
      }
      t.is(stats().listeners, 0)
      t.is(stats().connections, 0)
    },
  )
}

/** Whether an error says which argument it is about: the last option that was given. */
function namesArgument({ message }: Error, options: unknown): boolean {
  if (typeof options !== 'object' || options === null) return message.includes('"options"')
  const names = Object.keys(options)
  // What does not go together is blamed on the path, and what is missing is the port.
  const name = names.includes('path') ? 'path' : (names.at(-1) ?? 'port')
  return message.includes(`options.${name}`)
}

const wrongCounts: [unknown, Expected][] = [
  [-1, RANGE],
  [1.5, RANGE],
  [Number.NaN, RANGE],
  [Infinity, RANGE],
  [2 ** 53, RANGE],
  ['1', TYPE],
  [undefined, TYPE],
  [null, TYPE],
  [1n, TYPE],
]

const inputCalls = ['next', 'peek', 'skip', 'readString', 'readBinary'] as const
const readerCalls = ['next', 'skip', 'readString', 'readBinary', 'wait'] as const

test.serial('H31: reading calls refuse wrong counts and change nothing', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  await peer.send('0123456789')
  await connection.reader.wait(10)
  const { input, reader } = connection
  for (const [n, expected] of wrongCounts) {
    for (const call of inputCalls) {
      t.like(
        t.throws(() => (input[call] as Call)(n as never)),
        expected,
        `input.${call}(${n})`,
      )
    }
    for (const call of readerCalls) {
      const error = await failureOf((reader[call] as (n: never) => Promise<unknown>)(n as never))
      t.like(error, expected, `reader.${call}(${n})`)
    }
    t.like(
      t.throws(() => input.peek(1, (n ?? 'x') as never)),
      n === undefined || n === null ? TYPE : expected,
    )
  }
  for (const call of inputCalls) {
    const error = t.throws(() => (input[call] as Call)(11 as never))
    t.like(error, { code: 'ERR_NODEPOLL_SHORT_BUFFER', name: 'NodepollError' }, call)
  }
  t.throws(() => input.peek(5, 6), { code: 'ERR_NODEPOLL_SHORT_BUFFER' })
  t.is(input.readString(10), '0123456789')
})

test.serial('a count of zero gives an empty result, also when nothing is there', async (t) => {
  await leakCheck(t)
  const { connection } = await openPair(t)
  const { input, reader } = connection
  t.is(input.next(0).length, 0)
  t.is(input.peek(0).length, 0)
  t.is(input.readString(0), '')
  t.is(input.readBinary(0).length, 0)
  t.is(input.skip(0), undefined)
  t.is((await within(reader.next(0), 'next(0)')).length, 0)
  t.is(await within(reader.readString(0), 'readString(0)'), '')
  t.is((await within(reader.readBinary(0), 'readBinary(0)')).length, 0)
  await within(reader.wait(0), 'wait(0)')
  await within(reader.skip(0), 'skip(0)')
})

const wrongWrites: [string, (writer: Writer) => unknown, Expected][] = [
  ...([-1, 1.5, Number.NaN, 2 ** 31, 2 ** 53] as const).map(
    (n): [string, (writer: Writer) => unknown, Expected] => [
      `malloc(${n})`,
      (writer) => writer.malloc(n),
      RANGE,
    ],
  ),
  ['malloc("1")', (writer) => writer.malloc('1' as never), TYPE],
  ['malloc()', (writer) => writer.malloc(undefined as never), TYPE],
  ['writeString(1)', (writer) => writer.writeString(1 as never), TYPE],
  ['writeString(Buffer)', (writer) => writer.writeString(Buffer.alloc(1) as never), TYPE],
  ['writeString()', (writer) => writer.writeString(undefined as never), TYPE],
  ['writeBinary("x")', (writer) => writer.writeBinary('x' as never), TYPE],
  ['writeBinary(ArrayBuffer)', (writer) => writer.writeBinary(new ArrayBuffer(1) as never), TYPE],
  ['writeBinary([1])', (writer) => writer.writeBinary([1] as never), TYPE],
  ['writeBinary(null)', (writer) => writer.writeBinary(null as never), TYPE],
  ['append(Buffer)', (writer) => writer.append(Buffer.alloc(1) as never), TYPE],
  ['append(null)', (writer) => writer.append(null as never), TYPE],
]

test.serial('H31: writing calls refuse wrong arguments and change nothing', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  connection.writer.writeString('before ')
  for (const [what, call, expected] of wrongWrites) {
    t.like(
      t.throws(() => call(connection.writer)),
      expected,
      what,
    )
  }
  t.like(
    t.throws(() => connection.write(1 as never)),
    TYPE,
  )
  t.like(
    t.throws(() => connection.write(undefined as never)),
    TYPE,
  )
  t.like(
    t.throws(() => connection.addCloseCallback(1 as never)),
    TYPE,
  )
  t.like(
    t.throws(() => connection.addCloseCallback(undefined as never)),
    TYPE,
  )
  t.like(
    t.throws(() => connection.writer.writeString('x', 'no encoding' as never)),
    {
      name: 'TypeError',
    },
  )
  connection.write('after')
  t.is((await peer.read(12)).toString(), 'before after')
})

test.serial('readString() refuses an unknown encoding and consumes nothing', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  await peer.send('text')
  await connection.reader.wait(4)
  const { input }: { input: LinkBuffer } = connection
  t.like(
    t.throws(() => input.readString(4, 'no encoding' as never)),
    { name: 'TypeError' },
  )
  t.is((await failureOf(connection.reader.readString(4, 'no encoding' as never))).name, 'TypeError')
  t.is(input.readString(4), 'text')
})

test.serial('a loop and a shutdown refuse wrong arguments', async (t) => {
  await leakCheck(t)
  const loop = createEventLoop({})
  for (const listener of [undefined, null, {}, { port: 1 }]) {
    t.like(await failureOf(loop.serve(listener as never)), TYPE)
  }
  for (const [options, expected] of [
    [null, TYPE],
    [1, TYPE],
    [{ deadlineMs: '1' }, TYPE],
    [{ deadlineMs: -1 }, RANGE],
    [{ deadlineMs: Number.NaN }, RANGE],
    [{ deadlineMs: 2 ** 31 }, RANGE],
    [{ deadlineMs: 0.5 }, RANGE],
    [{ deadlineMs: Infinity }, RANGE],
    [{ deadlineMs: null }, TYPE],
    [{ force: 1 }, TYPE],
    [{ force: null }, TYPE],
    [{ deadlineMs: 1, force: 'yes' }, TYPE],
    ...wrongSignals({}),
  ] as const) {
    t.like(await failureOf(loop.shutdown(options as never)), expected, JSON.stringify(options))
  }
  // None of these calls has shut the loop down.
  const listener = await createListener({ host: '127.0.0.1' })
  const served = loop.serve(listener)
  await listener.close()
  await within(served, 'serve()')
})

test.serial('configure() after the first use is refused', async (t) => {
  await leakCheck(t)
  const error = t.throws(() => configure({ pollers: 1 }))
  t.like(error, { code: 'ERR_NODEPOLL_ALREADY_STARTED', name: 'NodepollError' })
})
