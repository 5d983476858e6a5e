// The client of the sample: orders that reserve from the stock, many at a time. It prints who
// answers when that changes, and how many were made, and goes on whatever becomes of the service.
// On a signal it makes no more and says what became of them all.
//
//   node --import=@oxc-node/core/register sample/orders.ts PORT [WORKERS]
import { setTimeout as sleep } from 'node:timers/promises'

import { NodepollClient } from '@nodepoll/nestjs'
import { firstValueFrom, lastValueFrom } from 'rxjs'

const [port = '3000', workers = '16'] = process.argv.slice(2)
const stock = new NodepollClient({ host: '127.0.0.1', port: Number(port), retryDelayMs: 10 })
const counts = { made: 0, sold: 0, told: 0 }
let lastBy = 0
const stopping = new AbortController()

async function order(): Promise<void> {
  try {
    const { by } = await firstValueFrom(stock.send<{ by: number }>('stock.reserve', { count: 1 }))
    counts.made++
    if (by !== lastBy) console.log('answered by', (lastBy = by))
    if (counts.made % 100 === 0) console.log('made', counts.made)
    await lastValueFrom(stock.emit('stock.sold', { count: 1 }), { defaultValue: undefined })
    counts.sold++
  } catch (error) {
    // Nobody knows whether it was reserved. A real one would ask, or use a number of its own.
    counts.told++
    console.log('told', (error as { code?: string }).code)
    await sleep(5)
  }
}

async function work(): Promise<void> {
  while (!stopping.signal.aborted) await order()
}

for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stopping.abort())
await Promise.all(Array.from({ length: Number(workers) }, work))
await stock.close()
console.log(`made ${counts.made}, sold ${counts.sold}, told ${counts.told}`)
