// A server of lines: each is answered with itself in capitals. The handler awaits its line, in as
// many pieces as it comes; a peer that ends in the middle of one just ends the connection.
//
//   node examples/line-upper.mjs [port]     0 picks a free one
import { serve } from 'nodepoll'

const NEWLINE = 0x0a
const LINE_BYTES_MAX = 64 * 1024

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  async onRequest(connection) {
    const line = await readLine(connection)
    connection.write(line.toUpperCase())
  },
  // What a handler throws ends its connection, and no other.
  onError(error) {
    console.error(error.message)
  },
})
console.log('listening on', server.address.port)

/** Consumes one line, its newline included. */
async function readLine({ input, reader }) {
  let searched = 0
  for (;;) {
    const found = input.peek(input.length - searched, searched).indexOf(NEWLINE)
    if (found >= 0) return input.readString(searched + found + 1)
    searched = input.length
    if (searched >= LINE_BYTES_MAX) throw new Error(`a line exceeds ${LINE_BYTES_MAX} bytes`)
    await reader.wait(searched + 1)
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await server.shutdown({ deadlineMs: 5000, force: true }).catch((error) => {
      console.error(error.message)
    })
  })
}
