/** An IP address and a port. */
export interface InetAddress {
  /** Which kind of address it is. */
  readonly family: 'IPv4' | 'IPv6'
  /** The address as text, IPv6 as RFC 5952 has it, with its scope if it has one. */
  readonly address: string
  /** The port, from 1 to 65535. */
  readonly port: number
}

/** The path of a unix socket. */
export interface UnixAddress {
  /** A unix socket. */
  readonly family: 'unix'
  /** Its path; an abstract name begins with a null character. */
  readonly path: string
}

/** Where one end of a connection is, or where a listener listens. */
export type Address = InetAddress | UnixAddress

const FAMILY_IPV4 = 4
const FAMILY_IPV6 = 6

/** Words of an address in a ring. */
const ADDRESS_WORDS = 6

/** In front of an IPv4 address that is mapped into IPv6: as text, and as the third word of four. */
const MAPPED = '::ffff:'
const MAPPED_WORD = 0xffff

/**
 * An address, or an IPv4 address with its port as one number, 2¹⁶ · address + port, and as a number
 * below zero (its complement) one that is mapped into IPv6: most are never looked at, and as
 * objects and strings they would be a good part of what a connection takes.
 */
export type PackedAddress = Address | number

const PORTS = 2 ** 16

export function unpackAddress(packed: PackedAddress): Address {
  if (typeof packed !== 'number') return packed
  const isMapped = packed < 0
  const bits = isMapped ? -1 - packed : packed
  const address = formatIPv4(Math.floor(bits / PORTS))
  const port = bits % PORTS
  if (isMapped) return { family: 'IPv6', address: `${MAPPED}${address}`, port }
  return { family: 'IPv4', address, port }
}

/**
 * Reads the address that starts at `at` in a ring: see `crates/nodepoll/src/address.rs`. A unix
 * socket's path does not stand there; `undefined` is for it.
 */
export function readAddress(words: Int32Array, at: number): PackedAddress | undefined {
  const first = words[at] as number
  const port = first & 0xffff
  switch (first >> 16) {
    case FAMILY_IPV4:
      return ((words[at + 1] as number) >>> 0) * PORTS + port
    case FAMILY_IPV6:
      if (isMappedAt(words, at + 1)) return -1 - (((words[at + 4] as number) >>> 0) * PORTS + port)
      return { family: 'IPv6', address: formatIPv6(words, at + 1), port }
    default:
      return undefined
  }
}

/** Reads addresses most of which are the same, which are then one object. */
export class RepeatedAddress {
  readonly #words: Int32Array = new Int32Array(ADDRESS_WORDS)
  #address: Address | undefined

  read(words: Int32Array, at: number): Address | undefined {
    let isSame = true
    for (let index = 0; index < ADDRESS_WORDS; index++) {
      if (this.#words[index] === words[at + index]) continue
      this.#words[index] = words[at + index] as number
      isSame = false
    }
    if (!isSame) {
      const packed = readAddress(words, at)
      this.#address = packed === undefined ? undefined : unpackAddress(packed)
    }
    return this.#address
  }
}

/** From the outcome of a native call. */
export function addressOf(
  outcome: { readonly family: number; readonly address: string; readonly port: number },
  path: string | undefined,
): Address {
  if (path !== undefined) return { family: 'unix', path }
  const family = outcome.family === FAMILY_IPV6 ? 'IPv6' : 'IPv4'
  return { family, address: outcome.address, port: outcome.port }
}

function formatIPv4(bits: number): string {
  return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`
}

/** The canonical form of RFC 5952. */
function formatIPv6(words: Int32Array, at: number): string {
  const groups: number[] = []
  for (let index = 0; index < 4; index++) {
    const word = words[at + index] as number
    groups.push(word >>> 16, word & 0xffff)
  }
  const [from, length] = longestZeroRun(groups)
  const scope = (words[at + 4] as number) >>> 0
  const text =
    length < 2 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + length))}`
  return scope === 0 ? text : `${text}%${scope}`
}

function isMappedAt(words: Int32Array, at: number): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === MAPPED_WORD
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':')
}

function longestZeroRun(groups: readonly number[]): [from: number, length: number] {
  let best: [number, number] = [0, 0]
  for (let from = 0; from < groups.length; from++) {
    let length = 0
    while (groups[from + length] === 0) length++
    if (length > best[1]) best = [from, length]
  }
  return best
}
