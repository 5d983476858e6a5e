import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'

import type { ExecutionContext } from 'ava'

type Lookup = (host: string) => string[] | Promise<string[]>

/**
 * Lets names have the addresses that `lookup` says, in its order, until the test ends. Those for
 * which it gives nothing do not exist.
 */
export function fakeNames(t: ExecutionContext<unknown>, lookup: Lookup): void {
  const { promises } = dns
  const original = promises.lookup
  promises.lookup = (async (host: string) => {
    const addresses = await lookup(host)
    if (addresses.length === 0) throw notFound(host)
    return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }) as unknown as typeof promises.lookup
  // Modules that have imported it by its name get the new one, too.
  syncBuiltinESMExports()
  t.teardown(() => {
    promises.lookup = original
    syncBuiltinESMExports()
  })
}

function notFound(host: string): Error {
  const error = new Error(`getaddrinfo ENOTFOUND ${host}`)
  return Object.assign(error, {
    code: 'ENOTFOUND',
    errno: -3008,
    syscall: 'getaddrinfo',
    hostname: host,
  })
}
