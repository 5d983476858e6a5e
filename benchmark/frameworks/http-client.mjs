// Requests for plaintext over connections that stay open, as cheaply as Node can make them, so that
// the server is what is measured: `http-client.mjs PORT CONNECTIONS DEPTH WARMUP SECONDS`, with so
// many requests under way on each. Every reply is compared with the first one, but for its date.
import net from 'node:net'

import { ClosedLoop } from '../closed-loop.mjs'

const [port, connections, depth, warmup, seconds] = process.argv.slice(2).map(Number)
const request = 'GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n'
/** So many requests in a row, by their number. */
const requests = Array.from({ length: depth + 1 }, (_, count) => Buffer.from(request.repeat(count)))
const loop = new ClosedLoop()

/** What all replies are: their bytes, and where their date lies, which is not compared. */
class Expected {
  #bytes
  #dateStart
  #dateEnd

  constructor(bytes) {
    const text = bytes.latin1Slice()
    const match = /\r\nDate: ([^\r]+)\r\n/.exec(text)
    const isRight = text.startsWith('HTTP/1.1 200 OK\r\n') && text.endsWith('\r\n\r\nHello, World!')
    if (!isRight || match === null) throw new Error(`the server has answered ${text}`)
    this.#bytes = bytes
    this.#dateStart = match.index + 8
    this.#dateEnd = this.#dateStart + match[1].length
  }

  get length() {
    return this.#bytes.length
  }

  check(bytes, at) {
    if (this.#differ(bytes, at, 0, this.#dateStart)) throw new Error('a reply is not the first one')
    if (this.#differ(bytes, at, this.#dateEnd, this.length))
      throw new Error('a reply has another body')
  }

  #differ(bytes, at, start, end) {
    return bytes.compare(this.#bytes, start, end, at + start, at + end) !== 0
  }
}

let expected

function open() {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
    let rest
    let underWay = 0
    /** When the oldest request was made whose latency is measured, and how many are before it. */
    let since = 0
    let before = 0
    const ask = (count) => {
      if (since === 0) {
        since = loop.begin()
        before = underWay
      }
      underWay += count
      socket.write(requests[count])
    }
    const answered = (count) => {
      underWay -= count
      if (underWay < 0) throw new Error('a reply too many')
      const isMeasured = since > 0 && before < count
      loop.done(isMeasured ? since : 0, count)
      if (isMeasured) since = 0
      before -= count
    }
    socket.on('connect', () => ask(1))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server has closed a connection')))
    socket.on('data', (data) => {
      const bytes = rest === undefined ? data : Buffer.concat([rest, data])
      expected ??= new Expected(Buffer.from(bytes))
      let at = 0
      for (; at + expected.length <= bytes.length; at += expected.length) expected.check(bytes, at)
      rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined
      const count = at / expected.length
      if (count === 0) return
      answered(count)
      if (!loop.hasEnded) ask(depth - underWay)
      else if (underWay === 0) {
        resolve()
        socket.destroy()
      }
    })
  })
}

const callers = Array.from({ length: connections }, open)
console.log(JSON.stringify(await loop.run(callers, { warmup, seconds })))
