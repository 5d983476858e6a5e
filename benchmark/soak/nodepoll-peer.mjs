// A client of nodepoll, with the calls of the one of node:net. Its connection has a ledger, too.
import { dial, isNodepollError } from 'nodepoll'

import { Ledger } from './ledger.mjs'
import { violate } from './violation.mjs'
import { watch } from './watchdog.mjs'

export class NodepollPeer {
  static label = 'nodepoll'
  static canHalfClose = true
  seesResets
  #connection
  #ledger
  #random
  #describe

  static async connect({ target, describe, random }) {
    const connection = await watch(
      dial({
        ...target,
        onDisconnect: (own) => ledgerOf(own, describe, random).disconnected(),
        onError: (error, own) => ledgerOf(own, describe, random).failed(error),
      }),
      () => `${describe()}: dial`,
    )
    return new NodepollPeer(connection, target.path !== undefined, describe, random)
  }

  constructor(connection, isUnix, describe, random) {
    this.#connection = connection
    this.#ledger = ledgerOf(connection, describe, random)
    this.#ledger.reasons = ['peer', 'error', 'local']
    this.seesResets = !isUnix
    this.#random = random
    this.#describe = describe
  }

  async write(bytes) {
    const { writer } = this.#connection
    if (!this.#connection.write(bytes)) await this.#watch(writer.drained(), 'drained()')
  }

  async some(max) {
    const { input, reader } = this.#connection
    input.release()
    try {
      if (input.length === 0) await this.#watch(reader.wait(1), 'a waiting read')
    } catch (error) {
      if (isNodepollError(error, 'ERR_NODEPOLL_EOF')) return null
      throw error
    }
    const length = Math.min(max, input.length)
    return this.#random.chance(0.5) ? input.next(length) : input.readBinary(length)
  }

  /** The bytes are valid until the next call. */
  async read(n) {
    const { reader } = this.#connection
    reader.release()
    const reading = this.#random.chance(0.5) ? reader.next(n) : reader.readBinary(n)
    return this.#watch(reading, `a read of ${n} bytes`)
  }

  /** FIN; reading goes on. */
  finish() {
    // The connection may end before all has left.
    this.#connection.closeWrite().catch(() => {})
  }

  async leave(how) {
    const { input } = this.#connection
    input.release()
    if (input.length > 0) violate(`${this.#describe()}: more bytes come than there are`)
    if (how === 'reset') return this.reset()
    this.#ledger.endsByUs()
    await this.#watch(this.#connection.close(), 'close()')
    await this.ended()
  }

  async reset() {
    this.#ledger.endsByUs()
    this.#connection.reset()
    await this.ended()
  }

  async ended() {
    await this.#watch(this.#connection.closed, 'closed')
  }

  #watch(promise, what) {
    return watch(promise, () => `${what} of ${this.#ledger.describe()}`)
  }
}

/** A handler may be called before `dial` has told its caller of the connection. */
function ledgerOf(connection, describe, random) {
  return Ledger.of(connection) ?? new Ledger(connection, describe, random)
}
