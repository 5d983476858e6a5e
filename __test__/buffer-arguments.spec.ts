import { inspect } from 'node:util'

import test from 'ava'
import {
  delimited,
  fixedSize,
  type Framing,
  lengthPrefixed,
  LinkBuffer,
  type Reader,
} from 'nodepoll'

import { failureOf } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }
const ENCODING = { name: 'TypeError', code: 'ERR_UNKNOWN_ENCODING' }
const SHORT = { name: 'NodepollError', code: 'ERR_NODEPOLL_SHORT_BUFFER' }
const UNSUPPORTED = { name: 'NodepollError', code: 'ERR_NODEPOLL_UNSUPPORTED' }

interface Expected {
  readonly name: string
  readonly code: string
}

/** Arguments of a call that are wrong, and the error. */
type Wrong = readonly [given: readonly unknown[], expected: Expected]

const notNumbers = ['1', 1n, null, true, {}, [1]]
const bytes = Buffer.alloc(1)

/** Wrong values in the last place, behind those that are right. */
function last(
  before: readonly unknown[],
  values: readonly unknown[],
  expected: Expected,
): readonly Wrong[] {
  return values.map((value) => [[...before, value], expected])
}

/** What is no count of bytes. */
function counts(before: readonly unknown[] = []): readonly Wrong[] {
  return [
    ...last(before, notNumbers, TYPE),
    ...last(before, [-1, 0.5, Number.NaN, Infinity, -Infinity, 2 ** 53], RANGE),
  ]
}

/** The same for an argument that must be there. */
const required: readonly Wrong[] = [[[], TYPE], ...counts()]
const notEncodings: readonly Wrong[] = last([0], ['no encoding', '', null, 5, {}], ENCODING)
const notBytes = [undefined, null, 'text', 1, [1], {}, { length: 1 }, new ArrayBuffer(1)]
const delimiters: readonly Wrong[] = [
  ...last([], [undefined, null, 'x', 1n, [10], {}, { length: 1 }, new ArrayBuffer(1)], TYPE),
  ...last([], [-1, 256, 0.5, Number.NaN], RANGE),
  [[Buffer.alloc(0)], VALUE],
]

const sizes = ['16', '32', 'Big64', 'Float', 'Double'].flatMap((size) => {
  const names = { '16': ['UInt16', 'Int16'], '32': ['UInt32', 'Int32'] }[size]
  return names ?? { Big64: ['BigUInt64', 'BigInt64'], Float: ['Float'], Double: ['Double'] }[size]!
})
const NUMBERS = ['UInt8', 'Int8', ...sizes.flatMap((name) => [`${name}BE`, `${name}LE`])]

/** Reading calls: the same for what waits and what does not. */
const reading: Record<string, readonly Wrong[]> = {
  next: required,
  skip: required,
  readBinary: required,
  slice: required,
  peek: [...required, ...counts([1])],
  readString: [...required, ...notEncodings],
  until: delimiters,
  ...Object.fromEntries(NUMBERS.map((name) => [`peek${name}`, counts()])),
}

const outOfRange: Record<string, readonly unknown[]> = {
  UInt8: [-1, 256],
  Int8: [-129, 128],
  UInt16: [-1, 65_536],
  Int16: [-32_769, 32_768],
  UInt32: [-1, 2 ** 32],
  Int32: [-(2 ** 31) - 1, 2 ** 31],
  BigUInt64: [-1n, 2n ** 64n],
  BigInt64: [-(2n ** 63n) - 1n, 2n ** 63n],
  Float: [],
  Double: [],
}

function writesOf(name: string): readonly Wrong[] {
  const kind = name.replace(/[BL]E$/, '')
  const isBig = kind.startsWith('Big')
  const isWhole = kind !== 'Float' && kind !== 'Double' && !isBig
  return [
    [[], TYPE],
    ...last([], ['1', isBig ? 1 : 1n, null, true, {}], TYPE),
    ...last([], outOfRange[kind] ?? [], RANGE),
    ...last([], isWhole ? [0.5, Number.NaN, Infinity] : [], RANGE),
  ]
}

const lengthsBeyond: readonly Wrong[] = last(
  [],
  [-1, 0.5, Number.NaN, Infinity, 2 ** 28 + 1],
  RANGE,
)

/** Writing calls, with three bytes written and not flushed. */
const writing: Record<string, readonly Wrong[]> = {
  malloc: [[[], TYPE], ...last([], notNumbers, TYPE), ...lengthsBeyond],
  mallocAck: [...required, [[4], RANGE]],
  writeBinary: last([], notBytes, TYPE),
  writeString: [
    ...last([], [undefined, null, 1, bytes, {}], TYPE),
    ...last(['x'], ['no encoding', '', null, 5, {}], ENCODING),
  ],
  writeDirect: [
    ...last([], notBytes, TYPE).map(([[value], expected]): Wrong => [[value, 0], expected]),
    [[bytes], TYPE],
    ...counts([bytes]),
    [[bytes, 4], RANGE],
  ],
  append: last([], [undefined, null, 'x', bytes, {}, { _chain: {} }], TYPE),
  writeByte: writesOf('UInt8'),
  ...Object.fromEntries(NUMBERS.map((name) => [`write${name}`, writesOf(name)])),
}

function call(object: object, name: string, given: readonly unknown[]): unknown {
  return (object as Record<string, (...given: readonly unknown[]) => unknown>)[name]?.(...given)
}

function describe(name: string, given: readonly unknown[]): string {
  return `${name}(${given.map((value) => inspect(value)).join(', ')})`
}

test.serial(
  'H31: each reading call refuses each wrong argument, and changes nothing',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    await peer.send('0123456789')
    await connection.reader.wait(10)
    const own = new LinkBuffer().writeString('0123456789').flush()
    const { input } = connection
    const calls = { ...reading, indexOf: [...delimiters, ...counts([10])] }
    for (const buffer of [input, own]) {
      for (const [name, wrong] of Object.entries(calls)) {
        for (const [given, expected] of wrong) {
          const what = describe(name, given)
          t.like(
            t.throws(() => call(buffer, name, given), undefined, what),
            expected,
            what,
          )
        }
      }
      for (const name of ['next', 'peek', 'skip', 'readString', 'readBinary', 'slice']) {
        t.like(
          t.throws(() => call(buffer, name, [11])),
          SHORT,
          name,
        )
      }
      t.like(
        t.throws(() => buffer.peek(5, 6)),
        SHORT,
      )
      t.is(buffer.readString(10), '0123456789')
    }
    own.close()
  },
)

/** Members of a reader that are no reads that wait. */
const notWaiting = ['length', 'release', 'constructor']

test.serial(
  'H31: each call that waits refuses each wrong argument at once, and lets others wait',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const { reader } = connection
    for (const [name, wrong] of Object.entries({ ...reading, wait: required })) {
      for (const [given, expected] of wrong) {
        const what = describe(name, given)
        // Nothing is there, so that what is not refused at once would wait for ever.
        t.like(await failureOf(call(reader, name, given) as Promise<unknown>, what), expected, what)
      }
    }
    const waiting = reader.readString(4)
    await peer.send('text')
    t.is(await waiting, 'text')
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(reader) as Reader)
    const members = names.filter((name) => !name.startsWith('_') && !notWaiting.includes(name))
    t.deepEqual(
      members.filter((name) => !(name in reading) && name !== 'wait'),
      [],
      'calls that are not in the table',
    )
  },
)

test.serial(
  'H31: each writing call refuses each wrong argument, and changes nothing',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const own = new LinkBuffer()
    for (const end of [connection.writer, own]) {
      end.writeString('abc')
      for (const [name, wrong] of Object.entries(writing)) {
        for (const [given, expected] of wrong) {
          const what = describe(name, given)
          t.like(
            t.throws(() => call(end, name, given), undefined, what),
            expected,
            what,
          )
          t.is(end.mallocLength, 3, what)
        }
      }
      end.flush()
    }
    t.is(own.readString(3), 'abc')
    t.is(String(await peer.read(3)), 'abc')
    for (const size of [...notNumbers, -1, 0.5, Number.NaN, 2 ** 28 + 1]) {
      const error = t.throws(() => new LinkBuffer(size as number))
      t.like(error, typeof size === 'number' ? RANGE : TYPE, inspect(size))
    }
    t.throws(() => connection.input.close(), UNSUPPORTED)
    own.close()
  },
)

const framings: Record<string, Framing> = {
  lengthPrefixed: lengthPrefixed({ lengthBytes: 1, limit: 200 }),
  'lengthPrefixed with an offset': lengthPrefixed({ lengthBytes: 2, offset: 2, limit: 8 }),
  delimited: delimited({ limit: 10 }),
  fixedSize: fixedSize(4),
}

/** Payloads that no frame of a framing can have. */
const impossible: Record<string, readonly (string | Buffer)[]> = {
  lengthPrefixed: [Buffer.alloc(201), 'x'.repeat(201)],
  'lengthPrefixed with an offset': ['', 'x', Buffer.alloc(1), Buffer.alloc(11)],
  delimited: [Buffer.alloc(11), 'eleven byte'],
  fixedSize: ['abc', 'abcde', Buffer.alloc(0)],
}

for (const [name, framing] of Object.entries(framings)) {
  test(`frames refuse wrong arguments and payloads, and nothing is written: ${name}`, async (t) => {
    const buffer = new LinkBuffer().writeString('abc')
    for (const payload of notBytes.filter((value) => typeof value !== 'string')) {
      t.throws(() => framing.write(buffer, payload as never), TYPE, inspect(payload))
    }
    for (const payload of impossible[name] ?? []) {
      t.throws(() => framing.write(buffer, payload), RANGE, inspect(payload))
    }
    for (const writer of [undefined, null, {}, buffer.flush, { writer: buffer }]) {
      t.throws(() => framing.write(writer as never, 'abcd'), TYPE, inspect(writer))
    }
    for (const connection of [undefined, null, {}, buffer]) {
      t.like(await failureOf(framing.read(connection as never), inspect(connection)), TYPE)
    }
    for (const handler of [undefined, null, 'x', {}]) {
      t.throws(() => framing.onFrame(handler as never), TYPE, inspect(handler))
    }
    t.is(buffer.mallocLength, 3)
    buffer.close()
  })
}

const limits: readonly Wrong[] = [
  ...notNumbers.map((limit): Wrong => [[{ limit }], TYPE]),
  ...[0, -1, 0.5, Number.NaN, Infinity, 2 ** 28 + 1].map((limit): Wrong => [[{ limit }], RANGE]),
]
const notOptions: readonly Wrong[] = last([], [null, 1, 'x', [], () => {}], TYPE)

/** Options that the makers of framings refuse. */
const makers: Record<string, [make: (...given: never[]) => Framing, wrong: readonly Wrong[]]> = {
  lengthPrefixed: [
    lengthPrefixed as never,
    [
      ...notOptions,
      ...limits,
      ...notNumbers.map((lengthBytes): Wrong => [[{ lengthBytes }], TYPE]),
      [[{ lengthBytes: 'constructor' }], TYPE],
      ...[0, 3, 5, 16, 1.5, -1, Number.NaN].map((n): Wrong => [[{ lengthBytes: n }], RANGE]),
      ...[null, 1, true, {}].map((endianness): Wrong => [[{ endianness }], TYPE]),
      ...['', 'be', 'ME', 'toString'].map((endianness): Wrong => [[{ endianness }], VALUE]),
      ...notNumbers.map((offset): Wrong => [[{ offset }], TYPE]),
      ...[-1, 0.5, 1025, Number.NaN].map((offset): Wrong => [[{ offset }], RANGE]),
      ...notNumbers.map((adjustment): Wrong => [[{ adjustment }], TYPE]),
      ...[-1025, 0.5, 1025, Number.NaN].map((n): Wrong => [[{ adjustment: n }], RANGE]),
      ...[null, 1, 'true', {}].map((keepHeader): Wrong => [[{ keepHeader }], TYPE]),
      [[{ offset: 2, keepHeader: false }], VALUE],
    ],
  ],
  delimited: [
    delimited as never,
    [
      ...notOptions,
      ...limits,
      ...[null, 10, [10], {}, new ArrayBuffer(1), Symbol('x')].map((delimiter): Wrong => [
        [{ delimiter }],
        TYPE,
      ]),
      ...['', Buffer.alloc(0)].map((delimiter): Wrong => [[{ delimiter }], VALUE]),
    ],
  ],
  fixedSize: [
    fixedSize as never,
    [
      ...last([], [undefined, ...notNumbers], TYPE),
      ...last([], [0, -1, 0.5, Number.NaN, 2 ** 28 + 1], RANGE),
    ],
  ],
}

for (const [name, [make, wrong]] of Object.entries(makers)) {
  test(`H44: ${name}() refuses each wrong option by Node's own codes`, (t) => {
    for (const [given, expected] of wrong) {
      const what = describe(name, given)
      t.like(
        t.throws(() => make(...(given as never[])), undefined, what),
        expected,
        what,
      )
    }
  })
}
