// A service that any client of Thrift can call: framed transport, binary protocol.
//
//   node examples/thrift/server.mjs [port]     0 picks a free one
import { serve } from 'nodepoll'

import { CalculatorProcessor } from './calculator.mjs'
import { answerWith } from './framed.mjs'

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  onRequest: answerWith(new CalculatorProcessor({ add: (a, b) => a + b })),
  onError: (error) => console.error(error.message),
})
console.log('listening on', server.address.port)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.shutdown({ deadlineMs: 5000, force: true }))
}
