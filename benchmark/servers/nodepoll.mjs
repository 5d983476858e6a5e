// An echo server on nodepoll: what arrives is handed to the output without a copy.
// argv[2]: the port, 0 picks one; argv[3]: the host of the driver, if not 'auto'.
import { configure, serve } from 'nodepoll'

if (process.argv[3] !== undefined) configure({ host: process.argv[3] })

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  onRequest(connection) {
    connection.writer.append(connection.input)
    connection.writer.flush()
  },
})
console.log(`listening ${server.address.port}`)
