// A worker for smoke.mjs: echoes once, then ends by itself or stays busy until it is ended.
import { parentPort, workerData } from 'node:worker_threads'

import { dial, serve } from 'nodepoll'

const host = '127.0.0.1'
const server = await serve({
  host,
  port: 0,
  onRequest: ({ input, writer }) => void writer.append(input).flush(),
})
const connection = await dial({ host, port: server.address.port })
connection.write('echo')
const text = await connection.reader.readString(4)
if (workerData === 'by terminate') {
  connection.setOnRequest(({ input, writer }) => void writer.append(input).flush())
  connection.write('to and fro for ever')
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has no origin
parentPort.postMessage(text === 'echo' ? 'echoed' : text)
if (workerData === 'by itself') {
  await connection.close()
  await server.shutdown()
}
