// A node of the sample with a stock of goods. Each call takes some milliseconds, as a database
// would.
//
//   node --import=@oxc-node/core/register sample/stock.service.ts NODE-ID PORT
import { setTimeout as sleep } from 'node:timers/promises'

import { type Context, ServiceBroker } from 'moleculer'
import { NodepollTransporter } from '@nodepoll/moleculer'
import type { InetAddress } from 'nodepoll'

const [nodeID = 'stock-1', port = '6001'] = process.argv.slice(2)
const transporter = new NodepollTransporter({ listen: { host: '127.0.0.1', port: Number(port) } })
const broker = new ServiceBroker({
  nodeID,
  transporter,
  logLevel: 'fatal',
  // What has begun is answered before the node ends.
  tracking: { enabled: true },
  skipProcessEventRegistration: true,
})

let reserved = 0
broker.createService({
  name: 'stock',
  actions: {
    async reserve({ params }: Context<{ count: number }>) {
      await sleep(2)
      return { reserved: (reserved += params.count), by: nodeID }
    },
  },
})
await broker.start()
console.log('listening on', (transporter.address as InetAddress).port)

for (const name of ['SIGINT', 'SIGTERM']) {
  // A second signal finds no handler and ends the process at once.
  process.once(name, async () => {
    await broker.stop()
    console.log('reserved', reserved)
  })
}
