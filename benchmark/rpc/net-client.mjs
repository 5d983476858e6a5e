// A client of nodepoll/rpc's frames on node:net, written for speed: what is called in one turn of
// the loop leaves in one write for each socket, or with `isEach` each call in one of its own.
import { once } from 'node:events'
import net from 'node:net'

import { CALL, Frames, preface, readUInt32, REPLY, REPLY_HEAD_BYTES, setUInt32 } from './wire.mjs'

const CALL_HEAD_BYTES = 16

class NetConnection {
  underWay = 0
  #socket
  #frames = new Frames()
  #calls = []
  #places = []
  #due = []
  #length = 0

  #isEach

  constructor(port, isEach) {
    this.#isEach = isEach
    this.#socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.write(preface())
    const take = (bytes, at, end) => this.#take(bytes, at, end)
    this.#socket.on('data', (data) => this.#frames.push(data, take))
  }

  opened() {
    return once(this.#socket, 'connect')
  }

  send(method, payload, resolve, reject) {
    const id = this.#places.pop() ?? this.#calls.length
    this.#calls[id] = { resolve, reject }
    this.underWay++
    this.#due.push({ id, method, payload })
    this.#length += CALL_HEAD_BYTES + method.length + payload.length
    if (this.#isEach) this.#flush()
    else if (this.#due.length === 1) process.nextTick(() => this.#flush())
  }

  end() {
    this.#socket.destroy()
  }

  #flush() {
    const bytes = Buffer.allocUnsafe(this.#length)
    let at = 0
    for (const { id, method, payload } of this.#due) {
      setUInt32(bytes, at, 12 + method.length + payload.length)
      setUInt32(bytes, at + 4, (CALL << 24) | method.length)
      setUInt32(bytes, at + 8, id)
      setUInt32(bytes, at + 12, 0)
      bytes.set(method, at + CALL_HEAD_BYTES)
      at += CALL_HEAD_BYTES + method.length
      bytes.set(payload, at)
      at += payload.length
    }
    this.#due = []
    this.#length = 0
    this.#socket.write(bytes)
  }

  #take(bytes, at, end) {
    const id = readUInt32(bytes, at + 4)
    const call = this.#calls[id]
    this.#calls[id] = undefined
    this.#places.push(id)
    this.underWay--
    const payload = bytes.subarray(at + REPLY_HEAD_BYTES - 4, end)
    if (bytes[at] === REPLY) call.resolve(payload)
    else call.reject(new Error(payload.toString()))
  }
}

/** Calls over a few sockets, each over the one with the fewest. */
export class NetClient {
  #connections
  #methods = new Map()

  static async connect(port, count, isEach) {
    const client = new NetClient()
    client.#connections = Array.from({ length: count }, () => new NetConnection(port, isEach))
    await Promise.all(client.#connections.map((connection) => connection.opened()))
    return client
  }

  call(name, payload) {
    let method = this.#methods.get(name)
    if (method === undefined) this.#methods.set(name, (method = Buffer.from(name)))
    let best = this.#connections[0]
    for (const connection of this.#connections) {
      if (connection.underWay < best.underWay) best = connection
    }
    return new Promise((resolve, reject) => best.send(method, payload, resolve, reject))
  }

  close() {
    for (const connection of this.#connections) connection.end()
  }
}
