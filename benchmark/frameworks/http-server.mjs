// A plaintext server of node:http: `http-server.mjs nodepoll|node:net PORT`; port 0 picks one.
import { once } from 'node:events'
import { createServer } from 'node:http'

import { attach } from 'nodepoll/stream'

const [kind, port] = process.argv.slice(2)
const where = { host: '127.0.0.1', port: Number(port) }
const headers = { 'Content-Type': 'text/plain', 'Content-Length': 13 }
const server = createServer({ noDelay: true }, (_, response) => {
  response.writeHead(200, headers)
  response.end('Hello, World!')
})
if (kind === 'nodepoll') {
  const attached = await attach(server, where)
  console.log('listening', attached.address.port)
} else {
  await once(server.listen(where), 'listening')
  console.log('listening', server.address().port)
}
