// A client of node:net that is asked for bytes, so that it reads no faster than its user.
import { connect } from 'node:net'

import { violate } from './violation.mjs'
import { watch } from './watchdog.mjs'

export class NetPeer {
  static label = 'node:net'
  static canHalfClose = true
  /** Libuv tells of a reset that it finds together with bytes as if it were FIN. */
  seesResets = false
  isUnix
  #socket
  #describe
  #error
  #waiting = []

  static async connect({ target, describe }) {
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const peer = new NetPeer(socket, target.path !== undefined, describe)
    await peer.#until('connect', () => !socket.connecting)
    return peer
  }

  constructor(socket, isUnix, describe) {
    this.#socket = socket
    this.isUnix = isUnix
    this.#describe = describe
    socket.on('error', (error) => (this.#error = error))
    for (const event of ['connect', 'readable', 'drain', 'end', 'error', 'close']) {
      socket.on(event, () => {
        const waiting = this.#waiting
        this.#waiting = []
        for (const wake of waiting) wake()
      })
    }
  }

  /** Waits while too much is pending. Rejects with what has ended the connection. */
  async write(bytes) {
    if (this.#error !== undefined) throw this.#error
    if (this.#socket.write(bytes)) return
    await this.#until('write', () => !this.#socket.writableNeedDrain)
  }

  /** Up to `max` bytes, at least one; `null` for FIN. Rejects with what else has ended it. */
  async some(max) {
    const socket = this.#socket
    let chunk = null
    await this.#until('read', () => {
      if (socket.readableLength > 0) chunk = socket.read(Math.min(max, socket.readableLength))
      else socket.read(0)
      return chunk !== null || socket.readableEnded
    })
    return chunk
  }

  /** Exactly `n` bytes. */
  async read(n) {
    const chunks = []
    for (let left = n; left > 0;) {
      const chunk = await this.some(left)
      if (chunk === null) violate(`${this.#describe()}: FIN comes ${left} bytes too soon`)
      chunks.push(chunk)
      left -= chunk.length
    }
    return Buffer.concat(chunks)
  }

  /** FIN; reading goes on. */
  finish() {
    this.#socket.end()
  }

  /** Ends the connection: `'finish'`, `'close'` or `'reset'`. Nothing more may have come. */
  async leave(how) {
    if (how === 'reset') return this.reset()
    this.#socket.end()
    const more = await this.some(1)
    if (more !== null) violate(`${this.#describe()}: more bytes come than there are`)
    await this.ended()
  }

  async reset() {
    if (this.isUnix) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
    await this.ended()
  }

  /** Settles when the socket is closed, which this side does not hinder. */
  async ended() {
    if (!this.#socket.destroyed) this.#socket.end()
    await this.#until('the end', () => this.#socket.closed, true)
  }

  async #until(what, isDone, ignoresErrors = false) {
    while (!isDone()) {
      if (!ignoresErrors && this.#error !== undefined) throw this.#error
      if (!ignoresErrors && this.#socket.destroyed) throw new Error(`${what}: it is destroyed`)
      const change = new Promise((wake) => this.#waiting.push(wake))
      await watch(change, () => `${this.#describe()}: ${what}`)
    }
  }
}
