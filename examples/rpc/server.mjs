// The program: methods, a port, and what happens on a signal.
//
//   node server.mjs
import { setTimeout as sleep } from 'node:timers/promises'

import { startService } from './service.mjs'

const methods = new Map([
  ['add', ([a, b]) => a + b],
  ['reverse', ([text]) => [...text].toReversed().join('')],
  ['sleep', async ([ms], signal) => sleep(ms, `slept ${ms} ms`, { signal })],
])

const { HOST: host = '127.0.0.1', PORT: port = '7000' } = process.env
const service = await startService(methods, { host, port: Number(port) })
console.log('listening on', service.address.port)

for (const name of ['SIGINT', 'SIGTERM']) {
  // A second signal finds no handler and ends the process at once.
  process.once(name, async () => {
    try {
      await service.stop(10_000)
      console.log('stopped')
    } catch (error) {
      console.error('stopped late:', error.message)
      process.exitCode = 1
    }
  })
}
