// Callers of grpc-js, each with one unary call under way, who compare every reply with their
// request: `grpc-client.mjs PORT CALLERS CONNECTIONS BYTES WARMUP SECONDS`.
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js'

import { ClosedLoop } from '../closed-loop.mjs'
import { echo } from './grpc-echo.mjs'

const [port, callers, connections, bytes, warmup, seconds] = process.argv.slice(2).map(Number)
const Client = makeGenericClientConstructor(echo, 'Echo')
// Otherwise channels to one server share a connection.
const options = { 'grpc.use_local_subchannel_pool': 1 }
const clients = Array.from(
  { length: connections },
  () => new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options),
)
const loop = new ClosedLoop()

function caller(number) {
  const client = clients[number % connections]
  const request = Buffer.alloc(bytes, `caller ${number} `)
  return new Promise((resolve, reject) => {
    const call = () => {
      const since = loop.begin()
      client.echo(request, (error, reply) => {
        if (error !== null) reject(error)
        else if (!request.equals(reply))
          reject(new Error(`caller ${number} has got another's reply`))
        else {
          loop.done(since)
          if (loop.hasEnded) resolve()
          else call()
        }
      })
    }
    call()
  })
}

const all = Array.from({ length: callers }, (_, number) => caller(number))
console.log(JSON.stringify(await loop.run(all, { warmup, seconds })))
for (const client of clients) client.close()
