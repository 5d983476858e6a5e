// A tiny RPC, both ends in one program: calls and replies are JSON in frames that begin with their
// length. Replies come in the order of the calls, so that many calls can be under way at a time.
//
//   node examples/rpc.mjs
import { dial, lengthPrefixed, serve } from 'nodepoll'

const frames = lengthPrefixed({ lengthBytes: 4, limit: 64 * 1024 })

const procedures = new Map([
  ['add', (a, b) => a + b],
  ['reverse', (text) => [...text].toReversed().join('')],
])

const server = await serve({
  host: '127.0.0.1',
  port: 0,
  onRequest: frames.onFrame((frame, { writer }) => {
    frames.write(writer, JSON.stringify(answer(...JSON.parse(frame.toString()))))
  }),
  // A frame that is no call ends its connection, and no other.
  onError(error) {
    console.error(error.message)
  },
})

function answer(name, ...args) {
  const procedure = procedures.get(name)
  return procedure ? { result: procedure(...args) } : { error: `no procedure '${name}'` }
}

const client = await dial({ host: '127.0.0.1', port: server.address.port })

/** Writes a call, without sending it yet. */
function write(...call) {
  frames.write(client.writer, JSON.stringify(call))
}

/** Reads the next reply. The frame is a view until the next read, so it is parsed at once. */
async function readReply() {
  const frame = await frames.read(client)
  const { result, error } = JSON.parse(frame.toString())
  return error ?? result
}

// One call after the other: each waits for its reply.
for (const text of ['stressed', 'nodepoll']) {
  write('reverse', text)
  client.writer.flush()
  console.log('reverse', text, '->', await readReply())
}

// Pipelined: all calls leave together, and the replies come in the same order.
for (const number of [1, 2, 3]) write('add', 100, number)
write('divide', 1, 0)
client.writer.flush()
for (let count = 0; count < 4; count += 1) console.log('pipelined ->', await readReply())

await client.close()
await server.shutdown()
