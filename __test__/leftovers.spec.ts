import test, { type ExecutionContext } from 'ava'
import { type Connection, type LinkBuffer } from 'nodepoll'

import { eventually, turn, within } from './helpers/deadline.ts'
import { enders } from './helpers/enders.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, echoServer, openPair, type Pair } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const KIB = 1 << 10
const MIB = 1 << 20

/** Uses again what others have given back too early, if they have. */
async function overwrite(t: ExecutionContext): Promise<void> {
  const server = await echoServer(t)
  const peer = await Peer.connect(t, server.address)
  for (let round = 0; round < 8; round++) {
    await peer.send(Buffer.alloc(MIB, 0xee))
    await peer.read(MIB)
  }
  peer.end()
}

/** A shutdown does not end a connection with unread input. */
const sudden = Object.entries(enders).filter(([ending]) => ending !== 'shutdown()')

for (const [ending, { end, by }] of sudden) {
  test.serial(`H25: after ${ending} unread input and slices stay as they are`, async (t) => {
    await leakCheck(t)
    // So that a graceful end does not wait for a peer that takes nothing.
    const pair = await openPair(t, { writeTimeoutMs: 50 }, { allowHalfOpen: true })
    const { connection, peer } = pair
    const { input } = connection
    const source = new Stream(25)
    const sent = source.take(200 * KIB)
    await peer.send(sent)
    await within(connection.reader.wait(sent.length), 'the input')
    const first = input.slice(30 * KIB)
    const view = input.next(KIB)
    const second = input.slice(70 * KIB + 1)
    peer.socket.pause()
    connection.write(Buffer.alloc(16 * MIB))
    await turn()
    await end(pair)
    t.is((await within(connection.closed, 'the end')).by, by)
    await overwrite(t)
    const rest = 101 * KIB + 1
    t.true(first.peek(30 * KIB).equals(sent.subarray(0, 30 * KIB)))
    t.true(view.equals(sent.subarray(30 * KIB, 31 * KIB)))
    t.is(input.length, sent.length - rest)
    t.true(input.peek(input.length).equals(sent.subarray(rest)))
    await overwrite(t)
    t.true(second.readBinary(70 * KIB + 1).equals(sent.subarray(31 * KIB, rest)))
    t.true(input.readBinary(input.length).equals(sent.subarray(rest)))
    for (const slice of [first, second]) slice.close()
    input.release()
  })
}

/** What a connection may be in the middle of, besides bytes that nobody has read. */
const operations: Record<string, (pair: Pair, kept: LinkBuffer[]) => unknown> = {
  'a read waits': ({ connection }) => ignore(connection.reader.next(MIB)),
  'a delimiter is waited for': ({ connection }) =>
    ignore(connection.reader.until(Buffer.of(1, 2, 3, 4, 5, 6))),
  'an iterator waits': ({ connection }) => ignore(iterate(connection)),
  'output waits': ({ connection }) => {
    connection.write(Buffer.alloc(8 * MIB, 1))
    ignore(connection.writer.drained())
  },
  'output is unflushed': ({ connection }) => {
    connection.writer.malloc(70 * KIB)
    connection.writer.writeBinary(Buffer.alloc(10)).malloc(10)
  },
  'input is sent back': ({ connection }) => {
    connection.writer.append(connection.input).flush()
  },
  'input is sent elsewhere': ({ connection, server }) => {
    for (const other of server.loop.connections()) {
      if (other.isActive && connection !== other) other.writer.append(connection.input).flush()
    }
  },
  'a view of it is sent': ({ connection: { input, writer } }) => {
    writer.writeBinary(input.next(Math.min(input.length, 20 * KIB))).flush()
    input.release()
  },
  'slices are kept': ({ connection: { input } }, kept) => {
    for (let n = 0; n < 3; n++) kept.push(input.slice(Math.min(input.length, 1000)))
  },
  'we half-close': ({ connection }) => ignore(connection.closeWrite()),
  'we close': ({ connection }) => void connection.close(),
  'reading is paused': ({ connection }) => void connection.pause(),
}

function ignore(promise: Promise<unknown>): void {
  promise.catch(() => {})
}

async function iterate({ reader }: Connection): Promise<void> {
  for await (const chunk of reader) if (chunk.length === 0) break
}

const BYSTANDERS = 20
const ROUNDS = 3

test.serial(
  'H27: whatever ends amid whatever else, the bytes of 20 others are their own',
  async (t) => {
    await leakCheck(t)
    const echo = await echoServer(t)
    const state = { isOver: false, messages: 0 }
    const bystanders = Array.from({ length: BYSTANDERS }, async (_, seed) => {
      const connection = await dialTo(t, echo.address)
      const sent = new Stream(seed)
      const received = new Stream(seed)
      while (!state.isOver) {
        const size = [1, 100, 5_000, 70_000][state.messages++ % 4] as number
        connection.write(sent.take(size))
        if (!received.matches(await connection.reader.next(size)))
          throw new Error(`${seed} differs`)
        connection.reader.release()
      }
    })
    const work = (async () => {
      const kept: LinkBuffer[] = []
      const unread = new Stream(27)
      for (let round = 0; round < ROUNDS; round++) {
        for (const [ending, { end }] of sudden) {
          const pairs = Object.entries(operations).map(async ([operation, begin]) => {
            const pair = await openPair(t, { writeTimeoutMs: 20 })
            const { connection, peer } = pair
            await peer.send(unread.peek(40 * KIB))
            await within(connection.reader.wait(20 * KIB), 'some input')
            // Most of them do not read, so that output waits.
            if (round > 0) peer.socket.pause()
            begin(pair, kept)
            if (round === 1) await turn()
            await end(pair)
            // A FIN is told no sooner.
            connection.resume()
            await within(connection.closed, `${ending} while ${operation}`)
            peer.socket.destroy()
          })
          await Promise.all(pairs)
        }
        for (const slice of kept.splice(0)) {
          const { length } = slice
          const bytes = slice.readBinary(length)
          // Three of a thousand bytes each, of the beginning.
          const all = unread.peek(3_000)
          t.true([0, 1000, 2000].some((at) => all.subarray(at, at + length).equals(bytes)))
          slice.close()
        }
        collectGarbage()
      }
    })()
    await Promise.race([work, Promise.all(bystanders)])
    state.isOver = true
    await within(Promise.all([work, ...bystanders]), 'the last echoes')
    t.true(state.messages > 10 * BYSTANDERS, `${state.messages} messages`)
    await eventually(() => echo.loop.connectionCount === BYSTANDERS, 'all of them are there')
  },
)
