import { setTimeout as later } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { Child, type Outcome } from './helpers/child.ts'
import { cpuMsByThread, descriptorsMax, residentBytes } from './helpers/resources.ts'

const DESCRIPTORS = 20_000
const CLIENTS = 4
/** Peers beyond the server's descriptors; a few more wait, for what it has open itself. */
const WAITING = 100
const CLOSED_AT_FIRST = 20

const IDLE_MS = 2_000
/** One in a hundred. */
const BUSY_MS_MAX = IDLE_MS / 100
/** A listener without descriptors tries again every 100 ms, which may take it some turns. */
const TURNS_MAX = (4 * IDLE_MS) / 100
/** With nobody waiting there is nothing to do, but for what came right before. */
const QUIET_TURNS_MAX = 10
/** Measured: 1,900 to 2,800, most of them objects of JavaScript. */
const BYTES_EACH_MAX = 5_000

/** Answers each line of its input, `number command`, with a line that begins with the number. */
const answering = `
  import { createInterface } from 'node:readline'
  async function answer(commands) {
    for await (const line of createInterface({ input: process.stdin })) {
      const [number, command, argument] = line.split(' ')
      console.log(number, JSON.stringify(await commands[command](Number(argument))))
    }
  }
`

const serverSource = `
  ${answering}
  import { configure, serve, stats } from 'nodepoll'
  configure({ pollers: 2 })
  const errors = []
  const server = await serve({
    host: '0.0.0.0',
    onRequest: ({ input, writer }) => void writer.append(input).flush(),
    onError: (error, connection) => void errors.push([error.code, connection ?? null]),
  })
  await answer({
    port: () => server.address.port,
    look() {
      const { connections, turns, arenaBytes, staleLeases } = stats()
      return { connections, turns, arenaBytes, staleLeases, errors }
    },
    shutdown: () => server.shutdown(),
  })
`

/** Connections of one process, to one address, each of which knows what it must hear. */
const clientSource = (port: number, host: string): string => `
  ${answering}
  import { connect } from 'node:net'
  const sockets = []
  const isServed = (socket) => socket.heard > 0
  let wrong = 0
  function open() {
    const socket = connect({ port: ${port}, host: '${host}' })
    sockets.push(socket)
    socket.heard = 0
    socket.on('error', () => wrong++)
    socket.on('data', (bytes) => {
      for (const byte of bytes) if (byte !== socket.said) wrong++
      socket.heard += bytes.length
      socket.onheard?.()
    })
    return new Promise((resolve) => socket.on('connect', () => {
      say(socket, sockets.length % 251)
      resolve()
    }))
  }
  function say(socket, byte) {
    socket.said = byte
    socket.write(Buffer.of(byte))
  }
  await answer({
    async open(count) {
      let left = count
      const some = async () => { while (left-- > 0) await open() }
      await Promise.all(Array.from({ length: 200 }, some))
    },
    look: () => ({ served: sockets.filter(isServed).length, wrong }),
    async echo() {
      const open = sockets.filter((socket) => isServed(socket) && !socket.destroyed)
      await Promise.all(open.map((socket) => new Promise((resolve) => {
        socket.onheard = resolve
        say(socket, (socket.said + 1) % 251)
      })))
      return open.length
    },
    async end(count) {
      const open = sockets.filter((socket) => isServed(socket) && !socket.destroyed)
      await Promise.all(open.slice(0, count).map((socket) => new Promise((resolve) => {
        socket.on('close', resolve).end()
      })))
    },
    reset() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
  })
`

interface ServerLook {
  readonly connections: number
  readonly turns: number
  readonly arenaBytes: number
  readonly staleLeases: number
  readonly errors: readonly [code: string, connection: null][]
}

/** A program that answers commands. */
class Program {
  readonly pid: number
  readonly #child: Child
  #asked = 0

  constructor(t: ExecutionContext, source: string, descriptors: number) {
    this.#child = new Child(source, [], descriptors)
    this.pid = this.#child.process.pid as number
    t.teardown(() => this.#child.process.kill('SIGKILL'))
  }

  async ask<T>(command: string): Promise<T> {
    const number = ++this.#asked
    this.#child.process.stdin?.write(`${number} ${command}\n`)
    const [, answer] = await this.#child.line(new RegExp(`^${number} (.+)$`, 'm'))
    return (answer === 'undefined' ? undefined : JSON.parse(answer as string)) as T
  }

  end(): Promise<Outcome> {
    this.#child.process.stdin?.end()
    return this.#child.end()
  }
}

class Clients {
  readonly #programs: readonly Program[]

  constructor(programs: readonly Program[]) {
    this.#programs = programs
  }

  ask<T>(command: string): Promise<T[]> {
    return Promise.all(this.#programs.map((program) => program.ask<T>(command)))
  }

  /** So many in all, by as many as there are programs. */
  async open(count: number): Promise<void> {
    await this.ask(`open ${count / CLIENTS}`)
  }

  async end(count: number): Promise<void> {
    await this.ask(`end ${count / CLIENTS}`)
  }

  /** How many have had an echo at all. */
  async served(t: ExecutionContext): Promise<number> {
    const looks = await this.ask<{ served: number; wrong: number }>('look')
    t.true(
      looks.every(({ wrong }) => wrong === 0),
      JSON.stringify(looks),
    )
    return looks.reduce((sum, { served }) => sum + served, 0)
  }

  /** How many have had one more echo just now. */
  async echo(): Promise<number> {
    return (await this.ask<number>('echo')).reduce((sum, count) => sum + count)
  }
}

/** Looks until it is right. */
async function until<T>(
  look: () => Promise<T>,
  isRight: (value: T) => boolean,
  what: string,
): Promise<T> {
  const end = performance.now() + 10_000
  for (;;) {
    const value = await look()
    if (isRight(value)) return value
    if (performance.now() > end) throw new Error(`never ${what}: ${JSON.stringify(value)}`)
    await later(50)
  }
}

/** What a process does while nothing happens. Node may collect garbage at first. */
async function checkIdle(t: ExecutionContext, server: Program, turnsMax: number): Promise<void> {
  let used: string[] = []
  for (let attempt = 0; attempt < 3; attempt++) {
    const { turns } = await server.ask<ServerLook>('look')
    const before = cpuMsByThread(server.pid)
    await later(IDLE_MS)
    const after = cpuMsByThread(server.pid)
    const { turns: turnsAfter } = await server.ask<ServerLook>('look')
    t.true(turnsAfter - turns <= turnsMax, `${turnsAfter - turns} turns`)
    const differences = [...after].map(([thread, { name, ms }]) => ({
      name,
      ms: ms - (before.get(thread)?.ms ?? 0),
    }))
    used = differences.map(({ name, ms }) => `${name} ${ms.toFixed(1)}`)
    t.log(`idle: ${turnsAfter - turns} turns, ms of CPU: ${used.join(', ')}`)
    if (differences.every(({ ms }) => ms < BUSY_MS_MAX)) return
  }
  t.fail(`ms of CPU in ${IDLE_MS}: ${used.join(', ')}`)
}

test('H46, H73, H78: 20,000 connections at the descriptor limit, and more peers', async (t) => {
  if (process.platform !== 'linux') {
    t.log('skipped: there is no /proc, and 127.0.0.2 is no address here')
    t.pass()
    return
  }
  const limit = Math.min(DESCRIPTORS, descriptorsMax())
  if (limit < DESCRIPTORS) t.log(`the hard limit leaves ${limit} descriptors, not ${DESCRIPTORS}`)
  const server = new Program(t, serverSource, limit)
  const port = await server.ask<number>('port')
  const clients = new Clients(
    Array.from({ length: CLIENTS }, (_, index) => {
      return new Program(t, clientSource(port, `127.0.0.${2 + index}`), limit)
    }),
  )
  const look = (): Promise<ServerLook> => server.ask('look')
  const told = [['EMFILE', null]]
  const peers = limit + WAITING
  const residentBefore = residentBytes(server.pid)

  await clients.open(peers)
  await until(look, ({ errors }) => errors.length > 0, 'at the limit')
  // A descriptor that is free for a moment, whosever it was, still goes to a peer.
  const { connections } = await until(
    async () => ({ ...(await look()), served: await clients.served(t) }),
    (now) => now.served === now.connections,
    'all are served',
  )
  t.true(connections > limit - 100 && connections < limit, `${connections} connections`)
  t.is(await clients.echo(), connections)
  await checkIdle(t, server, TURNS_MAX)
  const { arenaBytes, errors } = await look()
  t.deepEqual(errors, told)
  const bytesEach = (residentBytes(server.pid) - residentBefore) / connections
  t.log(`${connections} connections, ${Math.round(bytesEach)} bytes each, arena ${arenaBytes}`)
  t.true(bytesEach < BYTES_EACH_MAX, `${bytesEach} bytes for each connection`)

  // As many as have gone come in, and the lack is still the same one.
  await clients.end(CLOSED_AT_FIRST)
  await until(
    () => clients.served(t),
    (served) => served === connections + CLOSED_AT_FIRST,
    'those who waited',
  )
  t.deepEqual((await look()).errors, told)
  await clients.end(2 * WAITING)
  await until(
    () => clients.served(t),
    (served) => served === peers,
    'all who waited',
  )
  t.is(await clients.echo(), peers - CLOSED_AT_FIRST - 2 * WAITING)
  t.deepEqual((await look()).errors, told)
  await checkIdle(t, server, QUIET_TURNS_MAX)

  // Another time.
  await clients.open(2 * WAITING + CLOSED_AT_FIRST)
  await until(look, ({ errors: all }) => all.length > 1, 'at the limit again')
  await clients.ask('reset')
  const end = await until(look, (now) => now.connections === 0, 'empty')
  t.deepEqual(end.errors, [...told, ...told])
  t.is(end.staleLeases, 0)
  await server.ask('shutdown')
  t.like(await server.end(), { code: 0, signal: null, stderr: '' })
})
