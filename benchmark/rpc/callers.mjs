// So many callers in one process, each with one call under way, who compare every reply with their
// request: `callers.mjs nodepoll|node:net|each PORT CALLERS CONNECTIONS BYTES SECONDS`. `each` is
// node:net with a write for each call.
//
// Prints `measuring` and `measured`, and in the end a line of JSON.
import { setTimeout as sleep } from 'node:timers/promises'

import { bytesCodec, connectRpc } from 'nodepoll/rpc'

import { NetClient } from './net-client.mjs'

const WARMUP_MS = 1000

/** One of so many calls has its latency measured: the clock is not free. */
const SAMPLE = 16

const [kind, ...numbers] = process.argv.slice(2)
const [port, callers, connections, bytes, seconds] = numbers.map(Number)
const client =
  kind === 'nodepoll'
    ? connectRpc({ host: '127.0.0.1', port, connections, codec: bytesCodec({ views: true }) })
    : await NetClient.connect(port, connections, kind === 'each')

let calls = 0
const end = new AbortController()
let latencies = []

async function caller(number) {
  const request = Buffer.alloc(bytes, `caller ${number} `)
  while (!end.signal.aborted) {
    request.writeUInt32LE(calls)
    const since = calls % SAMPLE === 0 ? performance.now() : 0
    const reply = await client.call('echo', request)
    if (!request.equals(reply)) throw new Error(`caller ${number} has got another's reply`)
    if (since > 0) latencies.push(performance.now() - since)
    calls++
  }
}

const all = Promise.all(Array.from({ length: callers }, (_, number) => caller(number)))
await Promise.race([all, sleep(WARMUP_MS)])
calls = 0
latencies = []
console.log('measuring')
const began = performance.now()
await Promise.race([all, sleep(seconds * 1000)])
const counted = calls
const elapsed = performance.now() - began
console.log('measured')
const sorted = latencies.toSorted((a, b) => a - b)
end.abort()
await all
await client.close()
const quantile = (share) => sorted[Math.floor(sorted.length * share)] * 1000
console.log(
  JSON.stringify({
    calls: counted,
    callsPerSecond: counted / (elapsed / 1000),
    p50us: quantile(0.5),
    p99us: quantile(0.99),
  }),
)
