// A node of the sample that does not listen: orders that reserve from the stock, many at a time. It
// prints how many were made, and goes on whatever becomes of the other nodes. On a signal it makes
// no more and says what became of them all.
//
//   node --import=@oxc-node/core/register sample/orders.ts PORT...
import { setTimeout as sleep } from 'node:timers/promises'

import { ServiceBroker } from 'moleculer'
import { NodepollTransporter } from '@nodepoll/moleculer'

const WORKERS = 16

const nodes = process.argv.slice(2).map((port) => `127.0.0.1:${port}`)
const broker = new ServiceBroker({
  nodeID: 'orders',
  transporter: new NodepollTransporter({ nodes, retryDelayMs: 10, retryDelayMaxMs: 100 }),
  logLevel: 'fatal',
  skipProcessEventRegistration: true,
})
await broker.start()
await broker.waitForServices('stock')

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stopping.abort())
const made = new Map<string, number>()
let told = 0

async function order(): Promise<void> {
  try {
    const { by } = await broker.call<{ by: string }, object>('stock.reserve', { count: 1 })
    const count = (made.get(by) ?? 0) + 1
    made.set(by, count)
    if (count % 100 === 0) console.log(`${by} has made ${count}`)
  } catch (error) {
    // Nobody knows whether it was reserved. A real one would ask, or use a number of its own.
    told++
    console.log('told', (error as Error).name)
    await sleep(5)
  }
}

async function work(): Promise<void> {
  while (!stopping.signal.aborted) await order()
}

await Promise.all(Array.from({ length: WORKERS }, work))
await broker.stop()
const total = [...made.values()].reduce((sum, count) => sum + count, 0)
console.log(`made ${total}, told ${told}`)
