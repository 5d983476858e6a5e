// A server that Redis clients can talk to, with pipelining. commands.mjs says what it can do.
//
//   node examples/resp/server.mjs [port]     0 picks a free one
//   redis-cli -p 7000
import { serve } from 'nodepoll'

import { run } from './commands.mjs'
import { parse, ProtocolError } from './parser.mjs'
import { BYE, CommandError, write } from './replies.mjs'

/** Replies that are put together before they leave. */
const BATCH_BYTES = 64 * 1024

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  async onRequest(connection) {
    try {
      await answerAll(connection)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      write(connection.writer, new CommandError(`Protocol error: ${error.message}`))
      connection.writer.flush()
      return connection.close()
    }
  },
  onError: (error) => console.error(error.message),
})
console.log('listening on', server.address.port)

async function answerAll(connection) {
  const { input, reader, writer } = connection
  while (input.length > 0) {
    const request = parse(input)
    if (typeof request === 'number') {
      await flush(connection)
      // Also one of more than `readBufferMax` arrives, because it is waited for.
      await reader.wait(request)
      continue
    }
    const reply = request.length === 0 ? undefined : run(request)
    if (reply !== undefined) write(writer, reply)
    if (reply === BYE) {
      writer.flush()
      return connection.close()
    }
    if (writer.mallocLength >= BATCH_BYTES) await flush(connection)
  }
  return flush(connection)
}

/** Sends what is there, and lets go of the requests that it answers. */
async function flush({ reader, writer }) {
  reader.release()
  if (!writer.flush()) await writer.drained()
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.shutdown({ deadlineMs: 2000, force: true }).catch(() => {}))
}
