import test from 'ava'
import { type CloseReason, type Connection, LinkBuffer } from 'nodepoll'

import { codeOf, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair, type Pair } from './helpers/server.ts'

type Outcome = string | RegExp

interface End {
  readonly by: CloseReason['by']
  /** What a read beyond the end fails with. */
  readonly read: string
  readonly make: (pair: Pair) => unknown
}

const CLOSED = 'ERR_NODEPOLL_CONNECTION_CLOSED'
const UNSUPPORTED = 'ERR_NODEPOLL_UNSUPPORTED'

const ends: Record<string, End> = {
  'close()': { by: 'local', read: CLOSED, make: ({ connection }) => void connection.close() },
  'destroy()': { by: 'local', read: CLOSED, make: ({ connection }) => connection.destroy() },
  'reset()': { by: 'local', read: CLOSED, make: ({ connection }) => connection.reset() },
  'FIN from the peer': { by: 'peer', read: 'ERR_NODEPOLL_EOF', make: ({ peer }) => peer.end() },
  'RST from the peer': { by: 'error', read: 'ECONNRESET', make: ({ peer }) => peer.reset() },
  'shutdown()': { by: 'shutdown', read: CLOSED, make: ({ server }) => void server.shutdown() },
  'an idle timeout': {
    by: 'timeout',
    read: CLOSED,
    make: ({ connection }) => connection.setIdleTimeout(5),
  },
  'FIN from both, ours first': {
    by: 'peer',
    read: 'ERR_NODEPOLL_EOF',
    make: async ({ connection, peer }) => {
      await connection.closeWrite()
      peer.end()
    },
  },
}

type Calls = Record<string, (connection: Connection, end: End) => [() => unknown, Outcome]>

const NUMBERS = [
  'UInt8',
  'Int8',
  ...['UInt16', 'Int16', 'UInt32', 'Int32', 'BigUInt64', 'BigInt64', 'Float', 'Double'].flatMap(
    (name) => [`${name}BE`, `${name}LE`],
  ),
]

type NumberCall = (value?: number | bigint) => unknown

/** The calls about numbers of one object, all with the same outcome. */
function numberCalls(
  verbs: readonly ('read' | 'peek' | 'write')[],
  of: (connection: Connection) => object,
  outcome: (end: End) => string,
): Calls {
  const names = verbs.flatMap((verb) => ['Byte', ...NUMBERS].map((name) => `${verb}${name}`))
  return Object.fromEntries(
    names
      .filter((name) => name !== 'peekByte' || of !== readerOf)
      .map((name) => [
        name,
        (connection, end) => {
          const object = of(connection) as Record<string, NumberCall>
          const value = name.includes('Big') ? 1n : 1
          const call = name.startsWith('write')
            ? () => object[name]?.(value)
            : () => object[name]?.()
          return [call, outcome(end)]
        },
      ]),
  )
}

const readerOf = ({ reader }: Connection): object => reader

/** Each public member and what it does after the end: a value as text, or the code of its error. */
const members: Record<string, Calls> = {
  connection: {
    input: (connection) => [() => connection.input.length, '0'],
    reader: (connection) => [() => connection.reader.length, '0'],
    writer: (connection) => [() => typeof connection.writer, 'object'],
    isActive: (connection) => [() => connection.isActive, 'false'],
    localAddress: (connection) => [() => connection.localAddress.family, 'IPv4'],
    remoteAddress: (connection) => [() => connection.remoteAddress.family, 'IPv4'],
    bytesRead: (connection) => [() => connection.bytesRead, '0'],
    bytesWritten: (connection) => [() => connection.bytesWritten, '0'],
    setOnRequest: (connection) => [() => connection.setOnRequest(() => {}).isActive, 'false'],
    setOnDisconnect: (connection) => [() => connection.setOnDisconnect(() => {}).isActive, 'false'],
    pause: (connection) => [() => connection.pause().isPaused, 'false'],
    resume: (connection) => [() => connection.resume().isPaused, 'false'],
    isPaused: (connection) => [() => connection.isPaused, 'false'],
    signal: (connection) => [() => connection.signal.aborted, 'true'],
    closeWrite: (connection) => [() => connection.closeWrite(), 'undefined'],
    setReadTimeout: (connection) => [() => connection.setReadTimeout(1).isActive, 'false'],
    setWriteTimeout: (connection) => [() => connection.setWriteTimeout(1).isActive, 'false'],
    setIdleTimeout: (connection) => [() => connection.setIdleTimeout(1).isActive, 'false'],
    setReadDeadline: (connection) => [() => connection.setReadDeadline(1).isActive, 'false'],
    setWriteDeadline: (connection) => [() => connection.setWriteDeadline(1).isActive, 'false'],
    setNoDelay: (connection) => [() => connection.setNoDelay(false).isActive, 'false'],
    setKeepAlive: (connection) => [
      () => connection.setKeepAlive({ idleMs: 1000 }).isActive,
      'false',
    ],
    ref: (connection) => [() => connection.ref().isActive, 'false'],
    unref: (connection) => [() => connection.unref().isActive, 'false'],
    closed: (connection, { by }) => [async () => (await connection.closed).by, by],
    write: (connection) => [() => connection.write('x'), CLOSED],
    close: (connection) => [() => connection.close(), /./],
    destroy: (connection) => [() => connection.destroy(new Error('late')), 'undefined'],
    reset: (connection) => [() => connection.reset(), 'undefined'],
    addCloseCallback: (connection) => [
      () => new Promise((resolve) => connection.addCloseCallback((_, { by }) => resolve(by))),
      /local|peer|error|timeout|shutdown/,
    ],
    asyncDispose: (connection) => [() => connection[Symbol.asyncDispose](), 'undefined'],
  },
  reader: {
    length: ({ reader }) => [() => reader.length, '0'],
    next: ({ reader }, { read }) => [() => reader.next(1), read],
    skip: ({ reader }, { read }) => [() => reader.skip(1), read],
    readString: ({ reader }, { read }) => [() => reader.readString(1), read],
    readBinary: ({ reader }, { read }) => [() => reader.readBinary(1), read],
    peek: ({ reader }, { read }) => [() => reader.peek(1), read],
    until: ({ reader }, { read }) => [() => reader.until(10), read],
    slice: ({ reader }, { read }) => [() => reader.slice(1), read],
    asyncIterator: ({ reader }, { read }) => [
      async () => (await reader[Symbol.asyncIterator]().next()).done,
      read === 'ERR_NODEPOLL_EOF' ? 'true' : read,
    ],
    ...numberCalls(['read', 'peek'], readerOf, ({ read }) => read),
    wait: ({ reader }, { read }) => [() => reader.wait(1), read],
    release: ({ reader }) => [() => reader.release(), 'undefined'],
  },
  writer: {
    pendingLength: ({ writer }) => [() => writer.pendingLength, '0'],
    malloc: ({ writer }) => [() => writer.malloc(1), CLOSED],
    mallocAck: ({ writer }) => [() => writer.mallocAck(0), CLOSED],
    mallocLength: ({ writer }) => [() => writer.mallocLength, '0'],
    writeDirect: ({ writer }) => [() => writer.writeDirect(Buffer.alloc(1), 0), CLOSED],
    ...numberCalls(
      ['write'],
      ({ writer }) => writer,
      () => CLOSED,
    ),
    writeString: ({ writer }) => [() => writer.writeString('x'), CLOSED],
    writeBinary: ({ writer }) => [() => writer.writeBinary(Buffer.alloc(1)), CLOSED],
    append: ({ writer, input }) => [() => writer.append(input), CLOSED],
    flush: ({ writer }) => [() => writer.flush(), CLOSED],
    drained: ({ writer }) => [() => writer.drained(), 'undefined'],
  },
  input: {
    length: ({ input }) => [() => input.length, '0'],
    next: ({ input }) => [() => input.next(1), 'ERR_NODEPOLL_SHORT_BUFFER'],
    peek: ({ input }) => [() => input.peek(1), 'ERR_NODEPOLL_SHORT_BUFFER'],
    skip: ({ input }) => [() => input.skip(1), 'ERR_NODEPOLL_SHORT_BUFFER'],
    readString: ({ input }) => [() => input.readString(1), 'ERR_NODEPOLL_SHORT_BUFFER'],
    readBinary: ({ input }) => [() => input.readBinary(1), 'ERR_NODEPOLL_SHORT_BUFFER'],
    until: ({ input }) => [() => input.until(10), 'undefined'],
    indexOf: ({ input }) => [() => input.indexOf(10), '-1'],
    slice: ({ input }) => [() => input.slice(1), 'ERR_NODEPOLL_SHORT_BUFFER'],
    chunks: ({ input }) => [() => [...input.chunks()].length, '0'],
    close: ({ input }) => [() => input.close(), UNSUPPORTED],
    ...numberCalls(
      ['read', 'peek'],
      ({ input }) => input,
      () => 'ERR_NODEPOLL_SHORT_BUFFER',
    ),
    release: ({ input }) => [() => input.release(), 'undefined'],
    malloc: ({ input }) => [() => input.malloc(1), UNSUPPORTED],
    mallocAck: ({ input }) => [() => input.mallocAck(0), UNSUPPORTED],
    mallocLength: ({ input }) => [() => input.mallocLength, '0'],
    writeDirect: ({ input }) => [() => input.writeDirect(Buffer.alloc(1), 0), UNSUPPORTED],
    writeString: ({ input }) => [() => input.writeString('x'), UNSUPPORTED],
    writeBinary: ({ input }) => [() => input.writeBinary(Buffer.alloc(1)), UNSUPPORTED],
    append: ({ input }) => [() => input.append(new LinkBuffer()), UNSUPPORTED],
    flush: ({ input }) => [() => input.flush(), UNSUPPORTED],
    ...numberCalls(
      ['write'],
      ({ input }) => input,
      () => UNSUPPORTED,
    ),
  },
}

function publicMembersOf(value: object): string[] {
  const keys = new Set(Reflect.ownKeys(value))
  for (
    let prototype = Object.getPrototypeOf(value) as object;
    prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype) as object
  ) {
    for (const key of Reflect.ownKeys(prototype)) keys.add(key)
  }
  return [...keys]
    .map((key) => (typeof key === 'symbol' ? (key.description ?? '').split('.')[1] : key))
    .filter((name) => name !== undefined && name !== 'constructor' && !name.startsWith('_'))
    .map(String)
    .toSorted()
}

test.serial(
  'H26, H43: every public member has its line in the table of what it does after the end',
  async (t) => {
    await leakCheck(t)
    const { connection } = await openPair(t)
    const { reader, writer, input } = connection
    for (const [name, value] of Object.entries({ connection, reader, writer, input })) {
      t.deepEqual(publicMembersOf(value), Object.keys(members[name] as Calls).toSorted(), name)
    }
  },
)

for (const [ending, end] of Object.entries(ends)) {
  for (const [object, calls] of Object.entries(members)) {
    test.serial(
      `H26, H43: every member of ${object} does after ${ending} what is documented`,
      async (t) => {
        await leakCheck(t)
        const pair = await openPair(t)
        const { connection, server } = pair
        // Made before the end, as most programs have them.
        t.is(
          connection.input.length + connection.reader.length + connection.writer.pendingLength,
          0,
        )
        await end.make(pair)
        t.is((await within(connection.closed, 'the end')).by, end.by)
        await eventually(() => server.loop.connectionCount === 0, 'the close callbacks')
        for (const [name, prepare] of Object.entries(calls)) {
          for (let time = 1; time <= 2; time++) {
            const [call, expected] = prepare(connection, end)
            const outcome = await outcomeOf(call)
            const what = `${object}.${name}, call ${time}`
            if (typeof expected === 'string') t.is(outcome, expected, what)
            else t.regex(outcome, expected, what)
          }
        }
        await turn()
      },
    )
  }
}

async function outcomeOf(call: () => unknown): Promise<string> {
  try {
    return String(await within(Promise.resolve(call()), 'a call after the end'))
  } catch (error) {
    return codeOf(error) ?? String(error)
  }
}

test.serial('H26: what append() refuses after the end stays where it was', async (t) => {
  await leakCheck(t)
  const source = await openPair(t)
  const target = await openPair(t)
  await source.peer.send('payload')
  await source.connection.reader.wait(7)
  target.connection.destroy()
  t.throws(() => target.connection.writer.append(source.connection.input), { code: CLOSED })
  t.is(source.connection.input.readString(7), 'payload')
  await target.connection.closed
  t.throws(() => target.connection.writer.append(source.connection.input), { code: CLOSED })
})
