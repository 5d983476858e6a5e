import {
  type ChildProcess,
  execFile,
  spawn,
  type SpawnOptions,
  spawnSync,
} from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { adviceFor, findServer, mustHaveServers, type ServerName } from '../../scripts/servers.mjs'
import { freePort } from '../../scripts/free-port.mjs'

const runFile = promisify(execFile)
const isRoot = process.getuid?.() === 0

/** Some of them refuse to run as root. */
const NOBODY = 65_534

/** Long enough for the slowest, on two loaded cores. */
const START_MS = 60_000

/** A port that was free may be somebody else's by the time that the server takes it. */
const PORTS_MAX = 3

/** The end of what a server has written, for the message of an error. */
const ERRORS_MAX = 2_000

/** Who may use the databases, as the documents have it too. */
export const account = { user: 'app', password: 'secret' } as const

/** What there is to know of a server in order to start it. */
interface Kind {
  /** Where the documents say that it listens. */
  readonly usualPort: number
  readonly program: string
  /** What makes it tell its version, if that is not `--version`. */
  readonly versionOption?: string
  /** Makes what it needs before its first start. */
  prepare?(place: Place): Promise<unknown>
  /** What its program is started with. */
  args(place: Place, port: number): readonly string[]
  /** What is said to it, and how it answers only when it is ready. */
  readonly hello: Buffer
  readonly ready: RegExp
  /** What ends it at once, if that is not SIGKILL. */
  readonly end?: NodeJS.Signals
}

/** Where a server lives: a folder of its own, in which its programs run. */
interface Place {
  readonly folder: string
  /** The path of a program. */
  path(program: string): string
  execute(program: string, args: readonly string[]): Promise<unknown>
}

const kinds: Readonly<Record<ServerName, Kind>> = {
  redis: {
    usualPort: 6379,
    program: 'redis-server',
    args: (_, port) => ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''],
    hello: Buffer.from('PING\r\n'),
    ready: /^\+PONG/,
  },
  postgres: {
    usualPort: 5432,
    program: 'postgres',
    prepare({ folder, execute }) {
      writeFileSync(join(folder, 'password'), account.password)
      // It insists on a key that nobody else can read.
      writeFileSync(join(folder, 'key.pem'), readTls('key.pem'), { mode: 0o600 })
      writeFileSync(join(folder, 'certificate.pem'), readTls('certificate.pem'))
      giveAway(join(folder, 'key.pem'))
      const access = { username: account.user, pwfile: 'password', auth: 'scram-sha-256' }
      const texts = { locale: 'C', encoding: 'UTF8' }
      return execute('initdb', ['--no-sync', ...options({ pgdata: 'data', ...access, ...texts })])
    },
    args: ({ folder }, port) => [
      '-D',
      'data',
      ...options({
        port,
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
        fsync: 'off',
      }),
      ...options({ ssl: 'on', ssl_key_file: `${folder}/key.pem` }),
      ...options({ ssl_cert_file: `${folder}/certificate.pem` }),
    ],
    // The first message of a session, which asks for the password.
    hello: postgresHello(),
    ready: /^R/,
    // Killed, it would leave shared memory behind.
    end: 'SIGQUIT',
  },
  mariadb: {
    usualPort: 3306,
    program: 'mariadbd',
    prepare({ folder, path, execute }) {
      const who = `'${account.user}'@'%'`
      const statements = [
        `CREATE USER ${who} IDENTIFIED BY '${account.password}'`,
        `GRANT ALL ON *.* TO ${who}`,
        'CREATE DATABASE app',
      ]
      writeFileSync(join(folder, 'first.sql'), statements.map((each) => `${each};\n`).join(''))
      const program = 'mariadb-install-db'
      const where = { basedir: baseOf(path(program)), datadir: `${folder}/data` }
      return execute(program, ['--no-defaults', ...options(where), '--skip-test-db'])
    },
    args: ({ path, folder }, port) => [
      '--no-defaults',
      '--skip-name-resolve',
      ...options({ basedir: baseOf(path('mariadbd')), datadir: `${folder}/data`, port }),
      ...options({ 'bind-address': '127.0.0.1', 'max-allowed-packet': '64M' }),
      ...options({ socket: `${folder}/socket`, 'pid-file': `${folder}/pid` }),
      ...options({ 'init-file': `${folder}/first.sql` }),
    ],
    // It speaks first.
    hello: Buffer.alloc(0),
    ready: /MariaDB/,
  },
  mosquitto: {
    usualPort: 1883,
    program: 'mosquitto',
    versionOption: '-h',
    args({ folder }, port) {
      const settings = [
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        // It forgets messages of quality 2 that have to wait until others are acknowledged.
        'max_inflight_messages 0',
      ]
      writeFileSync(join(folder, 'settings'), settings.map((each) => `${each}\n`).join(''))
      return ['-c', 'settings']
    },
    // CONNECT by a client whose name is empty, and CONNACK.
    hello: Buffer.from('100c00044d515454040200050000', 'hex'),
    ready: /^ /,
  },
}

function options(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`)
}

/** Under which folder all of a program is that is in `bin` or `sbin` there. */
function baseOf(path: string): string {
  return dirname(dirname(path))
}

function readTls(name: string): Buffer {
  return readFileSync(new URL(`../../testdata/tls/${name}`, import.meta.url))
}

/** Lets the user of the servers have a file or a folder. */
function giveAway(path: string): void {
  if (isRoot) chownSync(path, NOBODY, NOBODY)
}

function postgresHello(): Buffer {
  const bytes = Buffer.from(`\0\0\0\0\0\x03\0\0user\0${account.user}\0\0`)
  bytes.writeInt32BE(bytes.length)
  return bytes
}

export const serverNames: readonly ServerName[] = Object.keys(kinds) as ServerName[]

/** The version of a server that is there, as its program says. */
export function versionOfServer(name: ServerName): string | undefined {
  const found = findServer(name)
  if (found === undefined) return undefined
  const { program, versionOption = '--version' } = kinds[name]
  const env = { ...process.env, ...found.environment }
  const { stdout } = spawnSync(found.programs[program] ?? '', [versionOption], { env })
  return /\d+\.[\d.]+/.exec(String(stdout))?.[0]
}

/** The port at which a server is usually found. */
export function usualPortOf(name: ServerName): number {
  return kinds[name].usualPort
}

/** A server that others have written, as a process of its own on a free port of the loopback. */
export class RealServer {
  port = 0
  readonly #kind: Kind
  readonly #place: Place
  readonly #settings: SpawnOptions
  #child: ChildProcess | undefined
  #errors = ''

  constructor(name: ServerName) {
    const found = findServer(name)
    if (found === undefined) throw new Error(adviceFor(name))
    const folder = mkdtempSync(join(tmpdir(), `nodepoll-${name}-`))
    giveAway(folder)
    const environment = { ...process.env, ...found.environment }
    const settings = { cwd: folder, env: environment, ...(isRoot && { uid: NOBODY, gid: NOBODY }) }
    const path = (program: string): string => found.programs[program] ?? program
    this.#kind = kinds[name]
    this.#place = {
      folder,
      path,
      execute: (program, args) => runFile(path(program), args, settings),
    }
    this.#settings = settings
    process.on('exit', this.#remove)
    // So a test runner ends processes that hang.
    process.on('SIGTERM', exit)
  }

  /** Starts it, also again after `kill()`, then with the same port and what it has kept. */
  async start(): Promise<void> {
    if (this.port === 0) await this.#kind.prepare?.(this.#place)
    for (let tries = 1; ; tries++) {
      const port = this.port === 0 ? await freePort() : this.port
      if (await this.#startAt(port)) {
        this.port = port
        return
      }
      if (tries === PORTS_MAX) throw new Error(`a server has ended: ${this.#errors}`)
    }
  }

  /** Ends it at once, as far as its clients can see. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || hasEnded(child)) return
    const ended = once(child, 'close')
    child.kill(this.#kind.end ?? 'SIGKILL')
    await ended
  }

  /** Ends it and removes what it has left. */
  async stop(): Promise<void> {
    await this.kill()
    process.off('exit', this.#remove)
    process.off('SIGTERM', exit)
    this.#remove()
  }

  /** Whether it is ready; not if it has ended. */
  async #startAt(port: number): Promise<boolean> {
    const program = this.#place.path(this.#kind.program)
    const args = this.#kind.args(this.#place, port)
    const child = spawn(program, args, { ...this.#settings, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.#errors = ''
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        this.#errors = (this.#errors + text).slice(-ERRORS_MAX)
      })
    }
    await once(child, 'spawn')
    const end = performance.now() + START_MS
    while (!hasEnded(child)) {
      if (await answers(port, this.#kind)) return true
      if (performance.now() > end) throw new Error(`a server is not ready: ${this.#errors}`)
      await later(20)
    }
    return false
  }

  readonly #remove = (): void => {
    this.#child?.kill(this.#kind.end ?? 'SIGKILL')
    rmSync(this.#place.folder, { recursive: true, force: true })
  }
}

function exit(): never {
  process.exit(1)
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** Says hello to a server, and tells whether it gives the right answer. */
async function answers(port: number, { hello, ready }: Kind): Promise<boolean> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  let text = ''
  socket.on('data', (part: string) => {
    text += part
    if (ready.test(text)) socket.destroy()
  })
  socket.on('error', () => {})
  socket.write(hello)
  await new Promise((resolve) => socket.once('close', resolve))
  return ready.test(text)
}

/** Starts a server for a test. */
export async function startRealServer(
  t: ExecutionContext<unknown>,
  name: ServerName,
): Promise<RealServer> {
  const server = new RealServer(name)
  t.teardown(() => server.stop())
  await server.start()
  return server
}

/** Whether tests with a server can run, or have to fail since they should. */
export function canHave(name: ServerName): boolean {
  return mustHaveServers || findServer(name) !== undefined
}

type Declare = (title: string, run: (t: ExecutionContext, port: number) => Promise<void>) => void

/**
 * One server for all tests of a file, and what declares these: one after the other they get its
 * port. Without the server they are skipped, and say how it comes to be there.
 */
export function testWith(name: ServerName): Declare {
  if (!canHave(name)) {
    return (title, run) => test.skip(`${title}: ${adviceFor(name)}`, (t) => run(t, 0))
  }
  let server: RealServer | undefined
  test.before('a server', async () => {
    server = new RealServer(name)
    await server.start()
  })
  test.after.always('the end of the server', () => server?.stop())
  return (title, run) => test.serial(title, (t) => run(t, server?.port ?? 0))
}
