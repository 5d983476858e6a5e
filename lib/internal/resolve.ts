import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { NodepollError } from '../errors.ts'

/** The addresses of a host in the order in which to try them: IPv6 and IPv4 in turn (RFC 8305). */
export async function resolveAddresses(host: string): Promise<string[]> {
  // A scope (`fe80::1%2`) is no part of the address that the look-up knows.
  if (isIP(host.split('%')[0] as string) !== 0) return [host]
  try {
    const found = await lookup(host, { all: true })
    return interleave(
      found.filter(({ family }) => family === 6).map(({ address }) => address),
      found.filter(({ family }) => family === 4).map(({ address }) => address),
    )
  } catch (error) {
    throw lookupError(error as NodeJS.ErrnoException, host)
  }
}

function interleave(first: readonly string[], second: readonly string[]): string[] {
  const mixed: string[] = []
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    for (const list of [first, second]) {
      const address = list[index]
      if (address !== undefined) mixed.push(address)
    }
  }
  return mixed
}

/** The error of a look-up in our own class, with the fields Node gives it. */
function lookupError(error: NodeJS.ErrnoException, host: string): NodepollError {
  const { code = 'ENOTFOUND', errno, syscall = 'getaddrinfo' } = error
  const own = new NodepollError(code, error.message, { cause: error })
  return Object.assign(own, { errno, syscall, address: host })
}
