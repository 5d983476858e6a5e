import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'

import test from 'ava'
import { configure, createEventLoop, createListener, dial, serve, stats } from 'nodepoll'

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
  [[], TYPE],
  [() => {}, TYPE],
  [{ port: '80' }, TYPE],
  [{ port: -1 }, RANGE],
  [{ port: 65_536 }, RANGE],
  [{ port: 1.5 }, RANGE],
  [{ port: Number.NaN }, RANGE],
  [{ port: null }, TYPE],
  [{ port: Infinity }, RANGE],
  [{ port: 80n }, TYPE],
  [{ port: 0, host: 1 }, TYPE],
  [{ port: 0, host: null }, TYPE],
  [{ port: 0, host: ['localhost'] }, TYPE],
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
  [{ path: '/tmp/x', reusePort: true }, VALUE],
  [{ ...where, backlog: 0 }, RANGE],
  [{ ...where, backlog: -1 }, RANGE],
  [{ ...where, backlog: Infinity }, RANGE],
  [{ ...where, backlog: null }, TYPE],
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
  ...['', 'localhost', '127.0.0', '127.0.0.1:80', '[::1]', '127.0.0.1%1', 'fe80::1%lo', '::1%'].map(
    (localAddress): [unknown, Expected] => [{ port: 1, localAddress }, VALUE],
  ),
  [{ path: '/tmp/x', localAddress: '127.0.0.1' }, VALUE],
  [{ path: '/tmp/x', localPort: 1 }, VALUE],
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
    [[undefined, TYPE], [null, TYPE], ['x', TYPE], [[], TYPE], ...wrongLoop, ...wrongHandlers],
  ],
  [
    'configure',
    configure as Call,
    [
      [undefined, TYPE],
      [null, TYPE],
      [1, TYPE],
      [[], TYPE],
      [{ host: 1 }, TYPE],
      [{ host: null }, TYPE],
      [{ host: 'poller' }, VALUE],
      [{ host: '' }, VALUE],
      ...['2', null, 2n, true].map((pollers): [unknown, Expected] => [{ pollers }, TYPE]),
      ...['1', null, 2n ** 30n].map((memoryMax): [unknown, Expected] => [{ memoryMax }, TYPE]),
      [{ loadBalance: 1 }, TYPE],
      [{ loadBalance: null }, TYPE],
      [{ loadBalance: '' }, VALUE],
      [{ loadBalance: 'RoundRobin' }, VALUE],
      [{ loadBalance: 'leastconnections' }, VALUE],
      [{ guard: 1 }, TYPE],
      [{ guard: 'on' }, TYPE],
      [{ guard: null }, TYPE],
      ...[0, -1, 1.5, Number.NaN, 65, 1e9, Infinity].map((pollers): [unknown, Expected] => [
        { pollers },
        RANGE,
      ]),
      ...[0, -1, (4 << 20) - 1, (4 << 20) + 0.5, 2 ** 36 + 1, 1e30, Number.NaN, Infinity].map(
        (memoryMax): [unknown, Expected] => [{ memoryMax }, RANGE],
      ),
    ],
  ],
]

/** The interfaces that say which options a call has. */
const interfaces: Record<string, [file: string, names: readonly string[]]> = {
  createListener: ['options', ['ListenOptions']],
  serve: ['options', ['ListenOptions', 'EventLoopOptions', 'ConnectionOptions']],
  dial: ['options', ['DialOptions', 'ConnectionOptions']],
  createEventLoop: ['options', ['EventLoopOptions', 'ConnectionOptions']],
  configure: ['runtime', ['RuntimeOptions']],
}

/** The members of an interface, as its source has them. */
function membersOf(file: string, name: string): string[] {
  const source = readFileSync(new URL(`../lib/${file}.ts`, import.meta.url), 'utf8')
  const [, body] = new RegExp(`^export interface ${name}\\b.*{\n([^]*?)^}`, 'm').exec(source) ?? []
  return [...(body ?? '').matchAll(/^ {2}(\w+)\??[:(<]/gm)].map(([, member]) => member as string)
}

test('H44: the tables of wrong options leave no option of any call out', (t) => {
  for (const [name, , wrong] of tables) {
    const [file, names] = interfaces[name] ?? ['', []]
    const options = new Set(names.flatMap((each) => membersOf(file, each)))
    t.true(options.size >= 5, `${name}: ${[...options].join()}`)
    // The last option of a row is the wrong one.
    const tried = wrong.filter(([, expected]) => expected === TYPE)
    const covered = new Set(tried.map(([given]) => Object.keys(Object(given) as object).at(-1)))
    for (const option of options) t.true(covered.has(option), `${name}: ${option}`)
  }
})

for (const [name, call, wrong] of tables) {
  const hazards = name === 'configure' ? 'H7, H44' : 'H44'
  test.serial(
    `${hazards}: ${name}() refuses wrong options by Node's own codes, and leaves nothing`,
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
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options)
  if (!isObject) return message.includes('"options"')
  const names = Object.keys(options)
  // What does not go together is blamed on the path, and what is missing is the port.
  const name = names.includes('path') ? 'path' : (names.at(-1) ?? 'port')
  return message.includes(`options.${name}`)
}

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

test.serial('a loop and a shutdown refuse wrong arguments', async (t) => {
  await leakCheck(t)
  const loop = createEventLoop({})
  for (const listener of [undefined, null, {}, { port: 1 }]) {
    t.like(await failureOf(loop.serve(listener as never)), TYPE)
  }
  for (const [options, expected] of [
    [null, TYPE],
    [1, TYPE],
    [[], TYPE],
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
