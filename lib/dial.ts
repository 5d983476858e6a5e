import { Connection } from './connection.ts'
import { laneFailedError, manyErrors, type NodepollError, systemError } from './errors.ts'
import type { Address } from './internal/address.ts'
import { currentScope } from './internal/dispatcher.ts'
import type { Handlers } from './internal/handlers.ts'
import type { Lane } from './internal/lane.ts'
import { resolveAddresses } from './internal/resolve.ts'
import { currentRuntime } from './internal/runtime.ts'
import { checkDialOptions, type DialOptions } from './options.ts'

type Checked = ReturnType<typeof checkDialOptions>

/** What has become of one address. */
type Attempt =
  | { readonly connection: Connection; readonly error?: undefined }
  | { readonly connection?: undefined; readonly error: NodepollError }

/**
 * Connects to a host and a port, or to a unix socket. The addresses of a name are tried in turn,
 * IPv6 and IPv4 mixed.
 *
 * Rejects with the error of the operating system: `ECONNREFUSED`, `ENOENT`, `ENOTFOUND` …; when
 * several addresses failed, with one that holds all in `errors`.
 *
 * The connection keeps the process alive until it ends. Without an `onRequest` its input is read
 * with `connection.reader` and `connection.input`.
 *
 * @example
 * ```ts
 * import { dial } from 'nodepoll'
 *
 * async function ping(port: number): Promise<string> {
 *   const connection = await dial({ host: '127.0.0.1', port })
 *   connection.write('ping')
 *   const pong = await connection.reader.readString(4)
 *   await connection.close()
 *   return pong
 * }
 * ```
 */
export async function dial(options: DialOptions): Promise<Connection> {
  const checked = checkDialOptions(options)
  const handlers = dialHandlers(options, checked)
  const { path, host = 'localhost' } = checked
  const targets = path === undefined ? await resolveAddresses(host) : [path]
  const errors: NodepollError[] = []
  for (const target of targets) {
    const { connection, error } = await attempt(target, checked, handlers)
    if (connection !== undefined) return connection
    errors.push(error)
  }
  throw manyErrors(errors)
}

function dialHandlers(options: DialOptions, { treatment }: Checked): Handlers {
  return {
    ...treatment,
    onConnect: undefined,
    onRequest: options.onRequest as Handlers['onRequest'],
    onDisconnect: options.onDisconnect as Handlers['onDisconnect'],
    onError: options.onError,
    scope: currentScope(),
    ended: () => {},
  }
}

/** Tries one address, or the path of a unix socket. */
function attempt(target: string, checked: Checked, handlers: Handlers): Promise<Attempt> {
  const { native, dispatcher } = currentRuntime()
  const { path, port, localAddress, localPort, noDelay } = checked
  const isPath = path !== undefined
  const failed = (errno: number, syscall: string): Attempt => ({
    error: systemError(errno, syscall, target, isPath ? undefined : port),
  })
  const number = dispatcher.nextNumber()
  const any = target.includes(':') ? '::' : '0.0.0.0'
  const outcome = native.dial({
    dial: number >>> 0,
    host: isPath ? null : target,
    port,
    path: path ?? null,
    localHost: localAddress ?? (localPort === 0 ? null : any),
    localPort,
    noDelay,
    window: handlers.readBufferMax,
  })
  if (outcome.hasLoopFailed) return Promise.resolve({ error: laneFailedError() })
  if (outcome.errno !== 0) return Promise.resolve(failed(outcome.errno, outcome.syscall))
  dispatcher.hold()
  return new Promise((resolve) => {
    const settle = (result: Attempt): void => {
      dispatcher.dials.delete(number)
      dispatcher.unhold()
      dispatcher.yieldToContinuations()
      resolve(result)
    }
    dispatcher.dials.set(number, {
      lane: dispatcher.lanes[outcome.lane] as Lane<Connection>,
      connected: (opened) => {
        const own: Address = { family: 'unix', path: path ?? '' }
        settle({ connection: new Connection(dispatcher, handlers, opened, own) })
      },
      failed: (errno) => settle(failed(errno, 'connect')),
      laneFailed: (isOwn) => {
        if (isOwn) settle({ error: laneFailedError() })
      },
    })
  })
}
