import type { ConnectionOptions, ListenOptions } from 'nodepoll'

/** Where a node listens: a port and maybe a host, or the path of a unix socket. */
export interface NodeAddress {
  /** A name or an address. @default 'localhost' */
  host?: string
  /** Of an address; there is either that or a path. */
  port?: number
  /** Of a unix socket. */
  path?: string
}

/** Where a node listens and whom it knows. */
export interface NodepollTransporterOptions extends Omit<ConnectionOptions, 'autoRelease'> {
  /**
   * Where this node listens, with options of nodepoll's `createListener()`. Without it a node has
   * connections to those of `nodes` alone, over which it can still be called.
   */
  listen?: ListenOptions
  /**
   * Where other nodes listen, as objects or as `'host:port'`. The own address may be among them, so
   * that all nodes can have the same list. It suffices if one of two nodes knows the other.
   *
   * @default []
   */
  nodes?: readonly (NodeAddress | string)[]
  /** The most bytes of a packet. @default 16 MiB */
  packetMax?: number
  /** Milliseconds that one attempt to connect may take. @default 2,000 */
  dialTimeoutMs?: number
  /** Milliseconds before a node is dialled again; they double each time. @default 100 */
  retryDelayMs?: number
  /** The longest of these delays. @default 5,000 */
  retryDelayMaxMs?: number
}

/** The address that a string means; IPv6 addresses stand in brackets. */
export function parseAddress(address: NodeAddress | string): NodeAddress {
  if (typeof address !== 'string') return address
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(address) ?? []
  const host = bracketed ?? plain
  if (host === undefined) throw new TypeError(`'${address}' is no address like 'host:port'`)
  return { host, port: Number(port) }
}

/** The same for people. */
export function formatAddress({ host = 'localhost', port, path }: NodeAddress): string {
  return path ?? `${host}:${port}`
}

/** Those of the options that say how connections are treated. */
export function treatmentOf(options: NodepollTransporterOptions): ConnectionOptions {
  const treatment = { ...options }
  delete treatment.listen
  delete treatment.nodes
  delete treatment.packetMax
  delete treatment.dialTimeoutMs
  delete treatment.retryDelayMs
  delete treatment.retryDelayMaxMs
  return treatment
}
