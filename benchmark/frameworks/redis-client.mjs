// Clients of ioredis who send pipelines of GET and SET, one after the other, and look at every
// reply: `redis-client.mjs nodepoll|node:net PORT CLIENTS COMMANDS WARMUP SECONDS`, with so many
// commands in each.
import { Redis } from 'ioredis'
import AbstractConnector from 'ioredis/built/connectors/AbstractConnector.js'
import { connect } from 'nodepoll/stream'

import { ClosedLoop } from '../closed-loop.mjs'

const [kind, ...numbers] = process.argv.slice(2)
const [port, count, commands, warmup, seconds] = numbers.map(Number)
const loop = new ClosedLoop()

/** How ioredis lets another transport in. */
class Connector extends AbstractConnector.default {
  constructor() {
    super(1000)
  }

  async connect() {
    this.connecting = true
    this.stream = connect(port, '127.0.0.1')
    return this.stream
  }
}

const options = { host: '127.0.0.1', port, retryStrategy: null, noDelay: true }
if (kind === 'nodepoll') options.Connector = Connector

async function caller(number) {
  const redis = new Redis(options)
  const value = `value of client ${number}`
  while (!loop.hasEnded) {
    const pipeline = redis.pipeline()
    for (let index = 0; index < commands; index += 2) {
      pipeline.set(`${number}:${index}`, value)
      pipeline.get(`${number}:${index}`)
    }
    const since = performance.now()
    const replies = await pipeline.exec()
    for (const [index, [error, reply]] of replies.entries()) {
      if (error !== null) throw error
      if (reply !== (index % 2 === 0 ? 'OK' : value)) throw new Error(`a reply is ${reply}`)
    }
    loop.done(since, replies.length)
  }
  redis.disconnect()
}

const all = Array.from({ length: count }, (_, number) => caller(number))
console.log(JSON.stringify(await loop.run(all, { warmup, seconds })))
