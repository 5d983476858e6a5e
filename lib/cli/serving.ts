import type { Server } from '../index.ts'
import { numberOption, type Option, switchOption, textOption, UsageError } from './arguments.ts'
import { loadNodepoll } from './failure.ts'
import { onInterrupt } from './interrupt.ts'
import { formatAddress, formatBytes, formatCount, type Output } from './output.ts'

const SECONDS_MAX = 86_400
const CONNECTIONS_MAX = 2 ** 31 - 1

interface ServingOptions {
  readonly [name: string]: Option<unknown>
  readonly host: Option<string>
  readonly port: Option<number>
  readonly path: Option<string | undefined>
  readonly 'connections-max': Option<number | undefined>
  readonly 'idle-timeout': Option<number>
  readonly grace: Option<number>
  readonly interval: Option<number>
  readonly json: Option<boolean>
}

/** The options of commands that serve. */
export const servingOptions: ServingOptions = {
  host: textOption('name', 'the host to listen on', '127.0.0.1'),
  port: {
    ...numberOption('number', 'the port, 0 picks a free one', {
      min: 0,
      max: 65_535,
      fallback: 7000,
    }),
    short: 'p',
  },
  path: textOption('file', 'a unix socket to listen on, in place of host and port', undefined),
  'connections-max': numberOption('number', 'connections at a time; more of them wait', {
    min: 1,
    max: CONNECTIONS_MAX,
    fallback: undefined,
  }),
  'idle-timeout': numberOption('seconds', 'end connections that are silent so long, 0 is never', {
    min: 0,
    max: SECONDS_MAX,
    fallback: 0,
    isWhole: false,
  }),
  grace: numberOption('seconds', 'time that connections have to end after Ctrl-C', {
    min: 0,
    max: SECONDS_MAX,
    fallback: 5,
    isWhole: false,
  }),
  interval: numberOption('seconds', 'time between two reports of what is going on', {
    min: 0.1,
    max: SECONDS_MAX,
    fallback: 1,
    isWhole: false,
  }),
  json: switchOption('print a line of JSON for each event'),
}

interface Place {
  readonly host: string
  readonly port: number
  readonly path: string | undefined
}

/** Where to listen. */
export function placeOf({ host, port, path }: Place): { path: string } | Omit<Place, 'path'> {
  if (path === '') throw new UsageError('--path: expected the name of a file')
  return path === undefined ? { host, port } : { path }
}

interface Habits {
  readonly grace: number
  readonly interval: number
}

/** Tells what a server does, until a signal ends it. Gives the exit code. */
export async function report(server: Server, output: Output, habits: Habits): Promise<number> {
  const { stats } = await loadNodepoll()
  const counts = (): { connections: number; accepts: number; bytesRead: number } & Counts => {
    const { connections, accepts, bytesRead, bytesWritten } = stats()
    return { connections, accepts, bytesRead, bytesWritten }
  }
  output.line(`listening on ${formatAddress(server.address)}`)
  output.json({ event: 'listening', address: server.address })

  let last = counts()
  const timer = setInterval(() => {
    const now = counts()
    output.status(describe(last, now, habits.interval))
    output.json({ event: 'traffic', ...now })
    last = now
  }, habits.interval * 1000)

  await new Promise<void>((resolve) => onInterrupt(() => resolve()))
  clearInterval(timer)
  output.json({ event: 'stopping', connections: server.loop.connectionCount })
  output.status(
    `closing ${formatCount(server.loop.connectionCount, 'connection')}, Ctrl-C again does not wait`,
  )
  const isInTime = await shutDown(server, habits.grace)
  const { accepts, bytesRead, bytesWritten } = counts()
  output.line(
    `${formatCount(accepts, 'connection')}, ${formatBytes(bytesRead)} in, ` +
      `${formatBytes(bytesWritten)} out${isInTime ? '' : '; some had to be cut off'}`,
  )
  output.json({ event: 'stopped', accepts, bytesRead, bytesWritten, isInTime })
  return 0
}

interface Counts {
  readonly connections: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

function describe(last: Counts, now: Counts, seconds: number): string {
  const received = formatBytes((now.bytesRead - last.bytesRead) / seconds)
  const sent = formatBytes((now.bytesWritten - last.bytesWritten) / seconds)
  return `${formatCount(now.connections, 'connection')}, ${received}/s in, ${sent}/s out`
}

async function shutDown(server: Server, graceSeconds: number): Promise<boolean> {
  const { isNodepollError } = await loadNodepoll()
  try {
    await server.shutdown({ deadlineMs: Math.round(graceSeconds * 1000), force: true })
    return true
  } catch (error) {
    if (isNodepollError(error, 'ERR_NODEPOLL_DEADLINE')) return false
    throw error
  }
}
