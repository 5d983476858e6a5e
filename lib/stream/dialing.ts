import { lookup as dnsLookup, ADDRCONFIG, type LookupAddress } from 'node:dns'
import { type EventEmitter } from 'node:events'
import { isIP } from 'node:net'

import type { Connection } from '../connection.ts'
import { dial } from '../dial.ts'
import { isNodepollError } from '../errors.ts'
import type { DialOptions } from '../options.ts'
import { checkPort } from './arguments.ts'
import { manyAttemptsFailed, systemErrorOf } from './errors.ts'
import { READ_BUFFER_MAX, WRITE_BUFFER_MAX } from './limits.ts'
import type { SocketConnectOptions } from './options.ts'

/** Milliseconds that each but the last address of a name has. */
const ATTEMPT_MS = 250

/** Connects as node:net does: looks the name up, tries its addresses in turn, tells the socket. */
export async function dialFor(
  socket: EventEmitter,
  options: SocketConnectOptions,
  signal: AbortSignal,
): Promise<Connection> {
  const { path, localAddress, localPort } = options
  const base: DialOptions = {
    allowHalfOpen: true,
    readBufferMax: READ_BUFFER_MAX,
    writeBufferMax: WRITE_BUFFER_MAX,
    signal,
    ...(localAddress ? { localAddress } : {}),
    ...(localPort ? { localPort } : {}),
  }
  if (path) return dial({ ...base, path })
  const port = checkPort(options.port)
  const addresses = await addressesOf(socket, options)
  signal.throwIfAborted()
  return dialInTurn(socket, addresses, { ...base, port }, options)
}

async function dialInTurn(
  socket: EventEmitter,
  addresses: readonly LookupAddress[],
  base: DialOptions & { port: number },
  { autoSelectFamilyAttemptTimeout: attemptMs = ATTEMPT_MS }: SocketConnectOptions,
): Promise<Connection> {
  const errors: NodeJS.ErrnoException[] = []
  const { port } = base
  for (const [index, { address, family }] of addresses.entries()) {
    socket.emit('connectionAttempt', address, port, family)
    const timeoutMs = index === addresses.length - 1 ? 0 : attemptMs
    try {
      return await dialOne(address, timeoutMs, base)
    } catch (error) {
      base.signal?.throwIfAborted()
      const isLate = isNodepollError(error, 'ERR_NODEPOLL_DIAL_TIMEOUT')
      const reason = isLate ? systemErrorOf('ETIMEDOUT', 'connect', address, port) : error
      if (isLate) socket.emit('connectionAttemptTimeout', address, port, family)
      else socket.emit('connectionAttemptFailed', address, port, family, reason)
      errors.push(reason as NodeJS.ErrnoException)
    }
  }
  throw errors.length === 1 ? errors[0] : manyAttemptsFailed(errors)
}

function dialOne(
  host: string,
  timeoutMs: number,
  base: DialOptions & { port: number },
): Promise<Connection> {
  // A port that nobody can listen on. Systems refuse it, and `dial` has no such port.
  if (base.port === 0) throw systemErrorOf('ECONNREFUSED', 'connect', host, 0)
  return dial({ ...base, host, timeoutMs })
}

/** The addresses to try: all of a name, or the first. */
async function addressesOf(
  socket: EventEmitter,
  options: SocketConnectOptions,
): Promise<LookupAddress[]> {
  const { host = 'localhost', autoSelectFamily = true, localAddress, hints = 0 } = options
  const literal = isIP(host)
  if (literal !== 0) return [{ address: host, family: literal }]
  const { family } = options
  const isOpen = family !== 4 && family !== 6
  const all = autoSelectFamily && isOpen && !localAddress
  const found = await lookUp(socket, host, options, {
    ...(family === undefined ? {} : { family }),
    hints: isOpen && hints === 0 ? ADDRCONFIG : hints,
    ...(all ? { all } : {}),
  })
  return all ? interleaved(found) : found.slice(0, 1)
}

function lookUp(
  socket: EventEmitter,
  host: string,
  { lookup = dnsLookup as NonNullable<SocketConnectOptions['lookup']> }: SocketConnectOptions,
  how: { readonly family?: number; readonly hints: number; readonly all?: boolean },
): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(host, how, (error, address, family) => {
      if (error !== null && error !== undefined) {
        socket.emit('lookup', error, undefined, undefined, host)
        reject(error)
        return
      }
      const found = Array.isArray(address)
        ? address
        : [{ address, family: family ?? isIP(address) }]
      for (const each of found) socket.emit('lookup', null, each.address, each.family, host)
      const usable = found.filter(({ address: text }) => isIP(text) !== 0)
      if (usable.length > 0) resolve(usable)
      else reject(Object.assign(new Error(`no address of ${host}`), { code: 'ENOTFOUND' }))
    })
  })
}

/** Families in turn, beginning with that of the first address. */
function interleaved(found: readonly LookupAddress[]): LookupAddress[] {
  const first = found.filter(({ family }) => family === found[0]?.family)
  const second = found.filter(({ family }) => family !== found[0]?.family)
  return Array.from({ length: Math.max(first.length, second.length) }, (_, index) => [
    ...first.slice(index, index + 1),
    ...second.slice(index, index + 1),
  ]).flat()
}
