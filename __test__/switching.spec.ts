import type { Socket } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import {
  type Connection,
  configure,
  createEventLoop,
  createListener,
  dial,
  type EventLoop,
  isNodepollError,
  stats,
} from 'nodepoll'

import { answer, pass, Plan, playClient, playServer, roundTrip } from './helpers/conversation.ts'
import { codeOf, type Deferred, deferred, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { portOf, startNetServer, startServer, whereOf } from './helpers/server.ts'
import { randomFrom, Stream } from './helpers/stream.ts'

type Test = ExecutionContext<unknown>

const CONVERSATIONS_MAX = 30
const LONE_TRIPS = 200
/** Nothing else is under way: an answer that takes longer is not slow but stuck. */
const LONE_TRIP_MS = 3000
const CROWD_MS = 60_000

const seed = Number(process.env['NODEPOLL_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const switchesMin = Number(process.env['NODEPOLL_SWITCHES'] ?? 3000)
const random = randomFrom(seed)

// From the first use on, drivers change hands at moments that follow from the seed.
process.env['NODEPOLL_HOST'] = `restless:${seed}`
configure({ pollers: 2 })

test.serial(
  'H59, H60, H79, H86: while drivers change hands all is exact and in time',
  async (t) => {
    t.timeout(60_000 + 30 * switchesMin)
    const settings = `NODEPOLL_SEED=${seed} NODEPOLL_SWITCHES=${switchesMin}`
    t.log(`${settings} npx ava __test__/switching.spec.ts`)
    await leakCheck(t)
    const late = new LateReaders()
    const { port } = await startNetServer(t, (socket) => late.accept(socket))
    let rounds = 0
    let slowest = 0
    while (stats().switches < switchesMin) {
      await within(crowd(t, port, late), 'the end of a crowd', CROWD_MS)
      slowest = Math.max(slowest, await talkAlone(t))
      rounds++
    }
    const { switches, accepts, dials, bytesRead, commands } = stats()
    t.log({ rounds, switches, accepts, dials, bytesRead, commands, slowestLoneTripMs: slowest })
    t.true(switches >= switchesMin)
  },
)

/** Conversations and failures of all kinds at once, over listeners that come and go. */
async function crowd(t: Test, latePort: number, late: LateReaders): Promise<void> {
  const plans = new Map<number, Plan>()
  const failure = deferred<never>()
  const accepted: Promise<void>[] = []
  const loop = createEventLoop({
    onConnect(connection) {
      const met = meet(connection, plans)
      met.catch(failure.reject)
      accepted.push(met)
    },
  })
  t.teardown(() => endLoop(loop))
  const listeners = await Promise.all([0, 1].map(() => createListener({ host: '127.0.0.1' })))
  const served = Promise.all(listeners.map((listener) => loop.serve(listener)))
  const dialing = some(CONVERSATIONS_MAX, () => {
    const plan = new Plan(Math.floor(random() * 2 ** 31))
    plans.set(plan.seed, plan)
    return converse(plan, pick(listeners).address)
  })
  const others = [
    ...some(5, () => giveUp(pick(listeners).address)),
    ...some(5, refused),
    ...some(3, () => writeToLateReader(latePort, late)),
  ]
  await Promise.race([Promise.all([...dialing, ...others]), failure.promise])
  await Promise.race([Promise.all(accepted), failure.promise])
  await loop.shutdown()
  await served
}

/** By force, if it has not ended: a failed test must not hang. */
async function endLoop(loop: EventLoop): Promise<void> {
  try {
    await loop.shutdown({ deadlineMs: 0, force: true })
  } catch (error) {
    if (!isNodepollError(error, 'ERR_NODEPOLL_DEADLINE')) throw error
  }
}

function some<T>(max: number, start: () => T): T[] {
  return Array.from({ length: 1 + Math.floor(random() * max) }, start)
}

function pick<T>(all: readonly T[]): T {
  return all[Math.floor(random() * all.length)] as T
}

async function converse(plan: Plan, address: Parameters<typeof whereOf>[0]): Promise<void> {
  try {
    await playClient(await dial(whereOf(address)), plan)
  } catch (error) {
    throw new Error(`the dialling end of ${plan}`, { cause: error })
  }
}

async function meet(connection: Connection, plans: ReadonlyMap<number, Plan>): Promise<void> {
  const { reader } = connection
  const name = await reader.readUInt32BE().catch((error: unknown) => {
    // Whoever gives up says nothing.
    if (connection.bytesRead > 0) throw error
    return undefined
  })
  if (name === undefined) return
  reader.release()
  const plan = plans.get(name)
  if (plan === undefined) throw new Error(`nobody is called ${name}`)
  try {
    await playServer(connection, plan)
  } catch (error) {
    throw new Error(`the accepting end of ${plan}`, { cause: error })
  }
}

/** Dials, and changes its mind before or after it is connected. */
async function giveUp(address: Parameters<typeof whereOf>[0]): Promise<void> {
  const controller = new AbortController()
  const dialled = dial({ ...whereOf(address), signal: controller.signal })
  void pass(random).then(() => controller.abort(new Error('enough')))
  const connection = await dialled.catch((error: Error) => {
    if (error.message !== 'enough') throw error
    return undefined
  })
  connection?.destroy()
  await connection?.closed
}

async function refused(): Promise<void> {
  const error = await failureOf(dial({ host: '127.0.0.1', port: 1 }), 'a dial to nobody')
  if (codeOf(error) !== 'ECONNREFUSED') throw error
}

/** The accepting ends of writes that time out: they do not read before they are told to. */
class LateReaders {
  readonly #sockets = new Map<number, Deferred<Socket>>()

  accept(socket: Socket): void {
    this.#at(socket.remotePort ?? 0).resolve(socket)
  }

  async of({ localAddress }: Connection): Promise<Socket> {
    const port = portOf(localAddress)
    const socket = await within(this.#at(port).promise, 'an accepted socket')
    this.#sockets.delete(port)
    return socket
  }

  #at(port: number): Deferred<Socket> {
    const socket = this.#sockets.get(port) ?? deferred<Socket>()
    this.#sockets.set(port, socket)
    return socket
  }
}

/** Writes more than the kernel takes, in vain at first. */
async function writeToLateReader(port: number, late: LateReaders): Promise<void> {
  const connection = await dial({ host: '127.0.0.1', port, writeTimeoutMs: 3 })
  const socket = await late.of(connection)
  const stream = new Stream(port)
  const { writer } = connection
  let error: unknown
  while (error === undefined) {
    for (let count = 0; count < 8; count++) connection.write(stream.take(100_000))
    error = await within(writer.drained(), 'drained() in vain').catch((reason: unknown) => reason)
  }
  if (codeOf(error) !== 'ERR_NODEPOLL_WRITE_TIMEOUT') throw error
  connection.setWriteTimeout(0)
  const expected = new Stream(port)
  let isExact = true
  socket.on('data', (bytes: Buffer) => (isExact &&= expected.matches(bytes)))
  await within(writer.drained(), 'drained() when there is a reader')
  await within(connection.close(), 'the end of a connection to a late reader')
  if (!isExact || expected.position !== stream.position) {
    throw new Error(`a late reader got wrong bytes after ${expected.position}`)
  }
}

/** One connection, and nothing else that could wake anybody. The slowest answer took so long. */
async function talkAlone(t: Test): Promise<number> {
  const trips = { said: new Stream(seed), heard: new Stream(seed + 1) }
  const server = await startServer(t, {
    async onConnect(connection) {
      const back = { said: new Stream(seed + 1), heard: new Stream(seed) }
      for (let trip = 0; trip < LONE_TRIPS; trip++) await answer(connection, back)
    },
  })
  const connection = await dial(whereOf(server.address))
  let slowest = 0
  for (let trip = 0; trip < LONE_TRIPS; trip++) {
    const began = performance.now()
    await roundTrip(connection, trips, random, LONE_TRIP_MS)
    slowest = Math.max(slowest, performance.now() - began)
    if (random() < 0.5) await pass(random)
  }
  await connection.close()
  await server.shutdown()
  return slowest
}
