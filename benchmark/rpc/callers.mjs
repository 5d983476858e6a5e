// So many callers in one process, each with one call under way, who compare every reply with their
// request: `callers.mjs nodepoll|node:net|each PORT CALLERS CONNECTIONS BYTES WARMUP SECONDS`.
// `each` is node:net with a write for each call.
import { bytesCodec, connectRpc } from 'nodepoll/rpc'

import { ClosedLoop } from '../closed-loop.mjs'
import { NetClient } from './net-client.mjs'

const [kind, ...numbers] = process.argv.slice(2)
const [port, callers, connections, bytes, warmup, seconds] = numbers.map(Number)
const client =
  kind === 'nodepoll'
    ? connectRpc({ host: '127.0.0.1', port, connections, codec: bytesCodec({ views: true }) })
    : await NetClient.connect(port, connections, kind === 'each')
const loop = new ClosedLoop()

async function caller(number) {
  const request = Buffer.alloc(bytes, `caller ${number} `)
  for (let count = 0; !loop.hasEnded; count++) {
    request.writeUInt32LE(count)
    const since = loop.begin()
    const reply = await client.call('echo', request)
    if (!request.equals(reply)) throw new Error(`caller ${number} has got another's reply`)
    loop.done(since)
  }
}

const all = Array.from({ length: callers }, (_, number) => caller(number))
const report = await loop.run(all, { warmup, seconds })
await client.close()
console.log(JSON.stringify(report))
