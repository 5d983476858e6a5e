import { isIP } from 'node:net'

import { invalidArgType, invalidArgValue } from '../errors.ts'
import { badPort, missingPort } from './errors.ts'
import type { SocketConnectOptions } from './options.ts'

const PORT_MAX = 65_535

/** The overloads of `connect` and `listen` as options and a listener. */
export function normalize<O extends object>(
  args: readonly unknown[],
): { readonly options: O; readonly listener: (() => void) | undefined } {
  const [first, second] = args
  const last = args.at(-1)
  const listener = typeof last === 'function' ? (last as () => void) : undefined
  let options: Record<string, unknown> = {}
  if (typeof first === 'object' && first !== null) {
    options = first as Record<string, unknown>
  } else if (typeof first === 'string' && numberIn(first) === undefined) {
    options = { path: first }
  } else if (first !== undefined && first !== null && typeof first !== 'function') {
    options = { port: first, ...(typeof second === 'string' ? { host: second } : {}) }
  }
  return { options: options as O, listener }
}

/** A backlog behind a port or a path, or behind port and host. */
export function backlogIn(args: readonly unknown[]): number | undefined {
  return numberIn(args[1]) || numberIn(args[2]) || undefined
}

/** A port as number or text, as node:net takes it. */
export function checkPort(value: unknown): number {
  const isPort = typeof value === 'number' || (typeof value === 'string' && value.trim() !== '')
  const port = isPort ? Number(value) : -1
  if (!Number.isInteger(port) || port < 0 || port > PORT_MAX) throw badPort(value)
  return port
}

/** Checks whom to connect to, as far as that can be said at once. */
export function checkConnectOptions(options: SocketConnectOptions): void {
  const { port, path, localAddress, localPort, lookup } = options
  if (port === undefined && (path === undefined || path === null)) throw missingPort()
  if (path) {
    if (typeof path !== 'string') throw invalidArgType('options.path', 'of type string', path)
    return
  }
  if (localAddress && isIP(localAddress) === 0) {
    throw Object.assign(new TypeError(`Invalid IP address: ${localAddress}`), {
      code: 'ERR_INVALID_IP_ADDRESS',
    })
  }
  if (localPort && typeof localPort !== 'number') {
    throw invalidArgType('options.localPort', 'of type number', localPort)
  }
  if (typeof port !== 'number' && typeof port !== 'string') {
    throw invalidArgType('options.port', 'one of type number or string', port)
  }
  checkPort(port)
  if (lookup !== undefined && lookup !== null && typeof lookup !== 'function') {
    throw invalidArgType('options.lookup', 'of type function', lookup)
  }
}

/** Refuses what a socket cannot be made from here. */
export function checkSource(options: { readonly [name: string]: unknown }): void {
  for (const name of ['fd', 'handle', 'onread']) {
    if (options[name] === undefined || options[name] === null) continue
    throw invalidArgValue(`options.${name}`, options[name], 'is not supported by nodepoll/stream')
  }
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode']) {
    if (options[name]) throw invalidArgValue(`options.${name}`, options[name], 'is not supported')
  }
}

function numberIn(value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined
  const number = Number(value)
  return number >= 0 ? number : undefined
}
