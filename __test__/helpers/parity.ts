import { once } from 'node:events'
import * as net from 'node:net'

import type { ExecutionContext } from 'ava'
import * as stream from 'nodepoll/stream'

import { within } from './deadline.ts'

/** What a program uses of either module. What both have of it has the types of node:net. */
export type Net = Pick<typeof net, 'Server' | 'Socket' | 'connect' | 'createServer'>

/** Events of a socket that its log has. */
const EVENTS = ['lookup', 'connect', 'ready', 'drain', 'timeout', 'end', 'finish'] as const

/** What has happened in one run of a scenario, one log for each who was watched. */
export class Run {
  readonly logs: Record<string, string[]> = {}
  readonly #ends: (() => void)[] = []
  #isOver = false

  /** Adds a line to somebody's log. */
  log(who: string, line: string): void {
    if (this.#isOver) return
    const lines = (this.logs[who] ??= [])
    // How bytes are cut into chunks is nobody's business.
    const [, before] = /^data (.*)$/.exec(lines.at(-1) ?? '') ?? []
    const [, now] = /^data (.*)$/.exec(line) ?? []
    if (before !== undefined && now !== undefined) lines[lines.length - 1] = `data ${before}${now}`
    else lines.push(line)
  }

  /** Logs all events of a socket. With `text` also what comes. */
  watch(
    who: string,
    socket: net.Socket,
    { text = true }: { readonly text?: boolean } = {},
  ): net.Socket {
    for (const event of EVENTS) {
      socket.on(event, (...args: unknown[]) => {
        const details = event === 'lookup' ? ` ${String(args[0])} ${String(args[2])}` : ''
        this.log(who, event + details)
      })
    }
    socket.on('error', (error) => this.log(who, describe(error)))
    socket.on('close', (hadError) => this.log(who, `close ${hadError}`))
    if (text) socket.on('data', (chunk) => this.log(who, `data ${chunk.toString()}`))
    this.#ends.push(() => socket.destroy())
    return socket
  }

  /** Logs all events of a server. */
  watchServer(who: string, server: net.Server): net.Server {
    for (const event of ['listening', 'connection', 'close', 'drop'] as const) {
      server.on(event, () => this.log(who, event))
    }
    server.on('error', (error) => this.log(who, describe(error)))
    this.#ends.push(() => server.close())
    return server
  }

  /** A server on a free port of the loopback, and its port. */
  async listen(server: net.Server): Promise<number> {
    this.#ends.push(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as net.AddressInfo).port
  }

  end(): void {
    this.#isOver = true
    for (const end of this.#ends) end()
  }
}

export type Scenario = (net: Net, run: Run) => Promise<void>

/** The two modules. */
export const modules: Readonly<Record<'node:net' | 'nodepoll/stream', Net>> = {
  'node:net': net,
  'nodepoll/stream': stream as unknown as Net,
}

/** Runs a scenario with either module: what is to be seen must be the same. */
export async function compare(t: ExecutionContext<unknown>, scenario: Scenario): Promise<void> {
  const logs: Record<string, string[]>[] = []
  for (const [name, module] of Object.entries(modules)) {
    const run = new Run()
    try {
      await within(scenario(module, run), `a scenario with ${name}: ${JSON.stringify(run.logs)}`)
    } finally {
      run.end()
    }
    logs.push(run.logs)
  }
  const [expected, found] = logs
  t.true(Object.keys(expected ?? {}).length > 0)
  t.deepEqual(found, expected)
}

/** Resolves when a socket or a server has emitted 'close'. */
export function closed(emitter: net.Socket | net.Server): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}

/** An error by what programs look at. Ports differ from run to run. */
export function describe(error: unknown): string {
  const { code, syscall, address, port, message, errno } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  const text = port === undefined ? message : message.replaceAll(`:${port}`, ':PORT')
  const errors = error instanceof AggregateError ? error.errors.map(describe) : []
  return [`error ${code} ${syscall} ${errno} ${address} ${typeof port} "${text}"`, ...errors].join(
    ' / ',
  )
}
