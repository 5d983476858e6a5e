import { type CloseReason, type Connection, LinkBuffer } from 'nodepoll'

import { codeOf, failureOf, turn, within } from './deadline.ts'
import { randomFrom, randomSize, Stream } from './stream.ts'

/** Bytes of the number by which the accepting side knows a conversation. */
export const NAME_BYTES = 4

const READ_MAX = 50_000
const WRITE_MAX = 50_000

/** More than a round trip, or all of them, can bring. */
const VAIN_BYTES = 1_000_000

/** How a conversation that is over comes to its end. */
type Ending =
  | 'the client closes'
  | 'the server closes'
  | 'both close'
  | 'the client closes its writing side'
  | 'the client destroys'
  | 'the client resets'
  | 'the server has an idle timeout'

type Reason = CloseReason['by']

/** By whom it has ended for either end. */
const ENDINGS: Record<Ending, { readonly client: Reason[]; readonly server: Reason[] }> = {
  'the client closes': { client: ['local'], server: ['peer'] },
  'the server closes': { client: ['peer'], server: ['local'] },
  'both close': { client: ['local', 'peer'], server: ['local', 'peer'] },
  'the client closes its writing side': { client: ['peer'], server: ['peer'] },
  'the client destroys': { client: ['local'], server: ['peer'] },
  'the client resets': { client: ['local'], server: ['error'] },
  'the server has an idle timeout': { client: ['peer'], server: ['timeout'] },
}

/** What follows from the seed of one conversation, for both of its ends. */
export class Plan {
  readonly seed: number
  readonly toServer: number
  readonly toClient: number
  readonly roundTrips: number
  readonly ending: Ending

  constructor(seed: number) {
    const random = randomFrom(seed)
    this.seed = seed
    this.toServer = randomSize(random, 400_000)
    this.toClient = randomSize(random, 400_000)
    this.roundTrips = randomSize(random, 30)
    const endings = Object.keys(ENDINGS)
    this.ending = endings[Math.floor(random() * endings.length)] as Ending
  }

  toString(): string {
    return JSON.stringify(this)
  }
}

/** The bytes of both directions, as one end sees them. */
export interface Directions {
  readonly said: Stream
  readonly heard: Stream
}

/** The dialling end: both directions at once, round trips, and its part of the ending. */
export async function playClient(connection: Connection, plan: Plan): Promise<void> {
  const { seed, toServer, toClient, roundTrips, ending } = plan
  const random = randomFrom(seed + 1)
  const both = { said: new Stream(seed), heard: new Stream(seed + 1) }
  const name = Buffer.alloc(NAME_BYTES)
  name.writeUInt32BE(seed)
  connection.write(name)
  await Promise.all([
    speak(connection, both.said, toServer, randomFrom(seed + 2)),
    listen(connection, both.heard, toClient, randomFrom(seed + 3)),
  ])
  for (let trip = 0; trip < roundTrips; trip++) {
    await roundTrip(connection, both, random)
    if (random() < 0.2) await pass(random)
  }
  if (ending === 'the client closes' || ending === 'both close') await connection.close()
  if (ending === 'the client closes its writing side') await connection.closeWrite()
  if (ending === 'the client destroys') connection.destroy()
  if (ending === 'the client resets') connection.reset()
  await endsBy(connection, ENDINGS[ending].client)
}

/** The accepting end of the same. */
export async function playServer(connection: Connection, plan: Plan): Promise<void> {
  const { seed, toServer, toClient, roundTrips, ending } = plan
  const both = { said: new Stream(seed + 1), heard: new Stream(seed) }
  await Promise.all([
    listen(connection, both.heard, toServer, randomFrom(seed + 4)),
    speak(connection, both.said, toClient, randomFrom(seed + 5)),
  ])
  for (let trip = 0; trip < roundTrips; trip++) await answer(connection, both)
  if (ending === 'the server closes' || ending === 'both close') await connection.close()
  if (ending === 'the server has an idle timeout') connection.setIdleTimeout(3)
  await endsBy(connection, ENDINGS[ending].server)
}

async function endsBy(connection: Connection, expected: readonly string[]): Promise<void> {
  const { by, error } = await within(connection.closed, 'the end')
  if (!expected.includes(by)) throw new Error(`ended by ${by}: ${String(error)}, not ${expected}`)
  if (by === 'error' && codeOf(error) !== 'ECONNRESET') throw error
}

/** A message and its answer, which may not take longer. */
export async function roundTrip(
  connection: Connection,
  { said, heard }: Directions,
  random: () => number,
  ms?: number,
): Promise<void> {
  const length = randomSize(random, 2000)
  const header = Buffer.alloc(4)
  header.writeUInt32BE(length)
  connection.write(Buffer.concat([header, said.take(length)]))
  check(await within(connection.reader.next(length), 'an answer', ms), heard)
  connection.reader.release()
}

export async function answer(connection: Connection, { said, heard }: Directions): Promise<void> {
  const { reader } = connection
  const length = await within(reader.readUInt32BE(), 'a question')
  check(await within(reader.next(length), 'the rest of a question'), heard)
  reader.release()
  connection.write(said.take(length))
}

/** Writes so many bytes in all ways there are. */
async function speak(
  { writer }: Connection,
  stream: Stream,
  total: number,
  random: () => number,
): Promise<void> {
  for (let left = total; left > 0;) {
    const length = Math.min(left, randomSize(random, WRITE_MAX))
    left -= length
    const bytes = stream.take(length)
    const way = Math.floor(random() * 3)
    if (way === 0) writer.writeBinary(bytes)
    else if (way === 1) writer.malloc(length).set(bytes)
    else writer.append(bufferOf(bytes))
    const isRoomy = writer.flush()
    if (!isRoomy || random() < 0.3) await within(writer.drained(), 'drained()')
    else if (random() < 0.5) await pass(random)
  }
}

function bufferOf(bytes: Uint8Array): LinkBuffer {
  const buffer = new LinkBuffer()
  buffer.writeBinary(bytes)
  buffer.flush()
  return buffer
}

/** Reads so many bytes in all ways there are, with pauses and with reads that time out. */
async function listen(
  connection: Connection,
  stream: Stream,
  total: number,
  random: () => number,
): Promise<void> {
  const { reader, input } = connection
  for (let left = total; left > 0;) {
    if (random() < 0.1) await waitInVain(connection, left)
    if (random() < 0.1) connection.setNoDelay(random() < 0.5)
    const resumed = random() < 0.1 ? pauseFor(connection, random) : undefined
    const length = Math.min(left, randomSize(random, READ_MAX))
    left -= length
    const way = Math.floor(random() * 4)
    if (way === 0) check(await within(reader.next(length), 'next()'), stream)
    else if (way === 1) check(await within(reader.readBinary(length), 'readBinary()'), stream)
    else if (way === 2) {
      await within(reader.wait(length), 'wait()')
      check(input.next(length), stream)
    } else {
      const slice = await within(reader.slice(length), 'slice()')
      for (const chunk of slice.chunks()) check(chunk, stream)
      slice.close()
    }
    reader.release()
    await resumed
  }
}

/** More than will ever come: it times out, and consumes nothing. */
async function waitInVain(connection: Connection, left: number): Promise<void> {
  connection.setReadTimeout(1)
  const error = await failureOf(connection.reader.wait(left + VAIN_BYTES), 'a read in vain')
  if (codeOf(error) !== 'ERR_NODEPOLL_READ_TIMEOUT') throw error
  connection.setReadTimeout(0)
}

async function pauseFor(connection: Connection, random: () => number): Promise<void> {
  connection.pause()
  await pass(random)
  connection.resume()
}

function check(bytes: Uint8Array, stream: Stream): void {
  if (!stream.matches(bytes)) throw new Error(`wrong bytes from position ${stream.position} on`)
}

/** Lets some time pass: from none at all to some milliseconds. */
export async function pass(random: () => number): Promise<void> {
  const way = random()
  if (way < 0.3) await Promise.resolve()
  else if (way < 0.5) await new Promise<void>((resolve) => process.nextTick(resolve))
  else if (way < 0.9) await turn()
  else await new Promise((resolve) => setTimeout(resolve, random() * 3))
}
