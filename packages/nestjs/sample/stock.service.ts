// The service of the sample: a stock of goods. Each call takes some milliseconds, as a database
// would.
//
//   node --import=@oxc-node/core/register sample/stock.service.ts PORT
import { setTimeout as sleep } from 'node:timers/promises'

import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { EventPattern, MessagePattern, Payload, RpcException } from '@nestjs/microservices'
import { NodepollServer } from '@nodepoll/nestjs'
import type { InetAddress, Server } from 'nodepoll'
import { interval, map, take } from 'rxjs'

let reserved = 0
let sold = 0

@Controller()
class StockController {
  @MessagePattern('stock.reserve')
  async reserve(@Payload() { count }: { count: number }) {
    if (!Number.isInteger(count) || count < 1) throw new RpcException('count is not a number')
    await sleep(2)
    return { reserved: (reserved += count), by: process.pid }
  }

  @MessagePattern('stock.watch')
  watch(@Payload() { changes }: { changes: number }) {
    return interval(2).pipe(
      take(changes),
      map(() => reserved),
    )
  }

  @EventPattern('stock.sold')
  sold(@Payload() { count }: { count: number }) {
    sold += count
  }
}

@Module({ controllers: [StockController] })
class StockModule {}

const [port = '3000'] = process.argv.slice(2)
// Its successor listens on the same port before this one ends.
const strategy = new NodepollServer({ host: '127.0.0.1', port: Number(port), reusePort: true })
const app = await NestFactory.createMicroservice(StockModule, {
  strategy,
  logger: ['error', 'warn'],
})
await app.listen()
console.log('listening on', strategy.unwrap<Server<InetAddress>>().address.port)

for (const name of ['SIGINT', 'SIGTERM']) {
  // A second signal finds no handler and ends the process at once.
  process.once(name, async () => {
    await app.close()
    console.log('reserved', reserved, 'sold', sold)
  })
}
