import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { within } from './deadline.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A program of its own, in which `nodepoll` can be imported. */
export class Child {
  readonly process: ChildProcess
  readonly #ended: Promise<Outcome>
  #stdout = ''
  #stderr = ''
  #changed: (() => void)[] = []

  /** `descriptors`: how many it may have, if not as many as this process. */
  constructor(source: string, nodeArguments: readonly string[] = [], descriptors?: number) {
    const environment = { ...process.env }
    delete environment['NODE_OPTIONS']
    const program = [
      process.execPath,
      ...nodeArguments,
      '--input-type=module',
      '--eval',
      source,
    ] as const
    const [command, ...rest] =
      descriptors === undefined
        ? program
        : (['sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh', ...program] as const)
    this.process = spawn(command, rest, {
      cwd: root,
      env: environment,
      stdio: [descriptors === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      for (const changed of this.#changed) changed()
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    this.#ended = new Promise((resolve, reject) => {
      this.process.on('error', reject)
      this.process.on('close', (code, signal) => {
        for (const changed of this.#changed) changed()
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
      })
    })
  }

  /** Waits for a line that matches, and gives the match. */
  async line(pattern: RegExp, ms = 20_000): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(this.#stdout)
        if (match !== null) resolve(match)
        else if (this.#hasEnded()) reject(this.#unexpected(`no line ${pattern}`))
      }
      this.#changed.push(look)
      look()
    })
    return within(found, `a line like ${pattern} from a child`, ms)
  }

  /** How it ended. */
  async end(ms = 20_000): Promise<Outcome> {
    try {
      return await within(this.#ended, 'the end of a child', ms)
    } catch (error) {
      this.process.kill('SIGKILL')
      throw this.#unexpected((error as Error).message)
    }
  }

  #hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  #unexpected(message: string): Error {
    return new Error(`${message}\nstdout: ${this.#stdout}\nstderr: ${this.#stderr}`)
  }
}

/** Starts a program, which is killed when the test ends before it does. */
export function startChild(
  t: ExecutionContext<unknown>,
  source: string,
  nodeArguments: readonly string[] = [],
): Child {
  const child = new Child(source, nodeArguments)
  t.teardown(() => {
    if (child.process.exitCode === null) child.process.kill('SIGKILL')
  })
  return child
}

/** Runs a program to its end. */
export function runChild(
  t: ExecutionContext<unknown>,
  source: string,
  nodeArguments: readonly string[] = [],
): Promise<Outcome> {
  return startChild(t, source, nodeArguments).end()
}

/**
 * Source for a child: `load(count)` starts a server and so many connections to it that send to and
 * fro without pause; it resolves once all of them do.
 */
export const busyConnections = `
  import { dial, serve } from 'nodepoll'
  export {}
  async function load(count, onReply = () => {}, onClosed = () => {}) {
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onConnect: (connection) => void connection.addCloseCallback(onClosed),
      onRequest: ({ input, writer }) => void writer.append(input).flush(),
    })
    let waiting = count
    const { promise: busy, resolve } = Promise.withResolvers?.() ?? resolvers()
    const connections = await Promise.all(Array.from({ length: count }, () => {
      let replies = 0
      return dial({
        host: '127.0.0.1',
        port: server.address.port,
        onRequest(connection) {
          if (++replies === 5 && --waiting === 0) resolve()
          connection.writer.append(connection.input).flush()
          onReply(connection)
        },
      })
    }))
    for (const connection of connections) connection.write('x'.repeat(100))
    await busy
    return { server, connections }
  }
  function resolvers() {
    let resolve
    const promise = new Promise((r) => { resolve = r })
    return { promise, resolve }
  }
`
