import { failure } from '../errors.ts'
import { canTurnInline } from '../native/index.ts'
import { checkOneOf } from './validate.ts'

/**
 * Who turns drivers. The last one is for tests: drivers change hands all the time, at moments that
 * follow from the seed.
 */
export type Host = 'auto' | 'thread' | 'inline' | `restless:${number}`

/** What users may choose. */
export const HOSTS: readonly string[] = ['auto', 'thread', 'inline']

/** The host if nobody chooses one. */
export function defaultHost(): Host {
  const host = process.env['NODEPOLL_HOST'] ?? 'auto'
  if (!/^restless:\d{1,15}$/.test(host)) checkOneOf(host, 'process.env.NODEPOLL_HOST', HOSTS)
  return host as Host
}

/** What a host comes to here: `'auto'` leaves it open whether the event loop can turn drivers. */
export function availableHost(host: Host): Host {
  if (host === 'thread' || canTurnInline()) return host
  if (host === 'auto') return 'thread'
  const message = `the host '${host}' needs the event loop of Node, and this is another one`
  throw failure('ERR_NODEPOLL_UNSUPPORTED', message)
}
