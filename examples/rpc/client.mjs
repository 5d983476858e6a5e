// A client: any number of calls at a time over one connection.
import { dial } from 'nodepoll'

import { onMessage, send } from './protocol.mjs'

export class Client {
  #connection
  #calls = new Map()
  #lastId = 0

  static async connect(options) {
    const client = new Client()
    client.#connection = await dial({
      timeoutMs: 2000,
      ...options,
      onRequest: onMessage((reply) => client.#settle(reply)),
    })
    client.#connection.addCloseCallback((_, { by }) => client.#failAll(`ended by ${by}`))
    return client
  }

  /** Calls a method. Rejects with what it failed with, or when its reply is late. */
  call(method, params = [], timeoutMs = 5000) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      const timer = setTimeout(() => this.#settle({ id, error: { message: 'late' } }), timeoutMs)
      this.#calls.set(id, { resolve, reject, timer })
      send(this.#connection, { id, method, params }).catch((error) => this.#settle({ id, error }))
    })
  }

  /** Resolves when the connection has ended; calls under way reject. */
  close() {
    return this.#connection.close()
  }

  #settle({ id, result, error }) {
    const call = this.#calls.get(id)
    if (call === undefined) return // it was late
    this.#calls.delete(id)
    clearTimeout(call.timer)
    if (error === undefined) call.resolve(result)
    else call.reject(Object.assign(new Error(error.message), { code: error.code }))
  }

  #failAll(message) {
    for (const id of this.#calls.keys()) this.#settle({ id, error: { message } })
  }
}
