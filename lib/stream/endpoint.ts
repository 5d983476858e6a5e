import type { AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'

import type { Connection } from '../connection.ts'
import type { Address, InetAddress } from '../internal/address.ts'

/** What a socket tells of its connection, once it has one: addresses, as node:net names them. */
export abstract class Endpoint extends Duplex {
  /** @internal */
  _connection: Connection | undefined

  /** The address of this end, or an empty object. */
  address(): AddressInfo | Record<string, never> {
    const { localAddress: address, localFamily: family, localPort: port } = this
    if (address === undefined || family === undefined || port === undefined) return {}
    return { address, family, port }
  }

  /** Bytes that have come. */
  get bytesRead(): number {
    return this._connection?.bytesRead ?? 0
  }

  /** The address of the peer. Unix sockets have none. */
  get remoteAddress(): string | undefined {
    return inetOf(this._connection?.remoteAddress)?.address
  }

  /** The port of the peer. */
  get remotePort(): number | undefined {
    return inetOf(this._connection?.remoteAddress)?.port
  }

  /** 'IPv4' or 'IPv6'. */
  get remoteFamily(): string | undefined {
    return inetOf(this._connection?.remoteAddress)?.family
  }

  /** The address of this end. Unix sockets have none. */
  get localAddress(): string | undefined {
    return inetOf(this._connection?.localAddress)?.address
  }

  /** The port of this end. */
  get localPort(): number | undefined {
    return inetOf(this._connection?.localAddress)?.port
  }

  /** 'IPv4' or 'IPv6'. */
  get localFamily(): string | undefined {
    return inetOf(this._connection?.localAddress)?.family
  }
}

/** Unix sockets have no address of the kind that node:net tells of. */
function inetOf(address: Address | undefined): InetAddress | undefined {
  return address?.family === 'unix' ? undefined : address
}
