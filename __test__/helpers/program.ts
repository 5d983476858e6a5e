import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'

import { DEADLINE_MS, within } from './deadline.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Characters of a conversation that the message of an error has. */
const TEXT_MAX = 200

/** A program of the repository that listens, and is ended with the test at the latest. */
export class Program {
  readonly child: ChildProcess
  /** Where it listens, as its first line says. */
  port = 0
  /** What it has written so far. */
  output = ''
  errors = ''
  readonly #lines: string[] = []
  readonly #ended: Promise<number | null>
  #look: () => void = () => {}

  constructor(path: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [`${root}/${path}`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    const { stdout, stderr } = this.child as ChildProcess & { stdout: Socket; stderr: Socket }
    stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    stderr.setEncoding('utf8').on('data', (text: string) => (this.errors += text))
    createInterface(stdout).on('line', (line) => {
      this.#lines.push(line)
      this.#look()
    })
    this.#ended = new Promise((resolve) => this.child.on('close', resolve))
    void this.#ended.then(() => this.#look())
  }

  /** The first line that matches. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve, reject) => {
      this.#look = () => {
        const matches = this.#lines.map((line) => pattern.exec(line))
        const match = matches.find((each) => each !== null)
        if (match) resolve(match)
        else if (this.child.exitCode !== null) reject(new Error(`it has ended: ${this.errors}`))
      }
      this.#look()
    })
    return within(found, `a line like ${pattern}`)
  }

  /** Its exit code. */
  end(ms?: number): Promise<number | null> {
    return within(this.#ended, 'the end of a program', ms)
  }
}

/** Starts a program that says on which port it listens. */
export async function startProgram(
  t: ExecutionContext,
  path: string,
  args: readonly string[] = [],
  environment?: NodeJS.ProcessEnv,
  listening: RegExp = /^listening on (\d+)$/,
): Promise<Program> {
  const program = new Program(path, args, environment)
  t.teardown(() => program.child.kill('SIGKILL'))
  const [, port] = await program.line(listening)
  program.port = Number(port)
  return program
}

/** Ends a program as a terminal or a service manager does. */
export async function stopProgram(
  t: ExecutionContext,
  program: Program,
  expected: RegExp = /^$/,
  signal: NodeJS.Signals = 'SIGTERM',
): Promise<void> {
  program.child.kill(signal)
  t.is(await program.end(), 0)
  t.regex(program.errors, expected)
}

/** Runs a program to its end, which must be a good one. */
export function runProgram(
  path: string,
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [`${root}/${path}`, ...args], {
    timeout: DEADLINE_MS,
    cwd: root,
    env: { ...process.env, ...environment },
  })
}

/** A socket of `node:net` and what has come so far. */
export class Talk {
  readonly socket: Socket
  text = ''
  #look: () => void = () => {}
  #hasEnded = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1').on('data', (data: string) => {
      this.text += data
      this.#look()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#hasEnded = true
      this.#look()
    })
  }

  /** Sends pieces; each is with the kernel before the next one. */
  async say(...pieces: string[]): Promise<void> {
    for (const piece of pieces) {
      await new Promise((resolve) => this.socket.write(piece, 'latin1', resolve))
    }
  }

  /** What has come when it matches, which is taken out. */
  async hear(pattern: RegExp): Promise<string> {
    const heard = new Promise<string>((resolve, reject) => {
      this.#look = () => {
        if (pattern.test(this.text)) {
          resolve(this.text)
          this.text = ''
          this.#look = () => {}
        } else if (this.#hasEnded) {
          reject(new Error(`ended after '${this.text.slice(-TEXT_MAX)}'`))
        }
      }
      this.#look()
    })
    return within(heard, `something like ${pattern}`)
  }

  /** Waits for the end of the connection. What has come until then, and was not taken out. */
  async ended(): Promise<string> {
    if (!this.#hasEnded) await within(once(this.socket, 'close'), 'the end of a connection')
    return this.text
  }
}

/** Connects to a port of this machine. */
export function talk(
  t: ExecutionContext,
  port: number,
  options: { allowHalfOpen?: boolean } = {},
): Promise<Talk> {
  return talkTo(t, { host: '127.0.0.1', port, ...options })
}

/** Connects to a port or a unix socket. */
export async function talkTo(t: ExecutionContext, options: NetConnectOpts): Promise<Talk> {
  const socket = connect(options)
  t.teardown(() => socket.destroy())
  await within(once(socket, 'connect'), 'a connection')
  return new Talk(socket)
}
