// A server of grpc-js that answers with what it has got: `grpc-server.mjs nodepoll|node:net PORT`;
// port 0 picks one.
import { once } from 'node:events'

import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createServer } from 'nodepoll/stream'

import { echo } from './grpc-echo.mjs'

const [kind, port] = process.argv.slice(2)
const credentials = ServerCredentials.createInsecure()
const server = new Server()
server.addService(echo, { echo: ({ request }, done) => done(null, request) })
if (kind === 'nodepoll') {
  const injector = server.createConnectionInjector(credentials)
  const listener = createServer((socket) => injector.injectConnection(socket))
  await once(listener.listen(Number(port), '127.0.0.1'), 'listening')
  console.log('listening', listener.address().port)
} else {
  server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
    if (error !== null) throw error
    console.log('listening', bound)
  })
}
