// An echo server on nodepoll: what arrives is handed to the output without a copy.
// argv[2]: the port, 0 picks one; argv[3]: the host of the driver, if not 'auto'; argv[4]: 'await'
// for a handler that waits for each message, of a KiB, by itself.
import { configure, serve } from 'nodepoll'

if (process.argv[3] !== undefined) configure({ host: process.argv[3] })

const handlers = {
  append(connection) {
    connection.writer.append(connection.input)
    connection.writer.flush()
  },

  async await({ input, reader, writer }) {
    for (;;) {
      await reader.wait(1024)
      writer.append(input)
      writer.flush()
    }
  },
}

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  onRequest: handlers[process.argv[4] ?? 'append'],
})
console.log(`listening ${server.address.port}`)
