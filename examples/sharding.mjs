// Work that needs the CPU, spread over threads: each worker has a runtime and a listener of its own
// on the same port, and the kernel deals the connections out. Here it is a hash of each line.
//
//   node examples/sharding.mjs [port] [workers]     0 picks a free port
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, threadId, Worker, workerData } from 'node:worker_threads'

import { configure, delimited, serve } from 'nodepoll'

if (isMainThread) await main(...process.argv.slice(2).map(Number))
else await work(workerData)

async function main(port = 7000, count = availableParallelism()) {
  const workers = []
  for (let left = count; left > 0; left -= 1) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { port } })
    // The first one picks the port if nobody else has.
    const [{ port: picked }] = await once(worker, 'message')
    port = picked
    workers.push(worker)
  }
  console.log('listening on', port)

  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      const ends = workers.map((worker) => once(worker, 'exit'))
      for (const worker of workers) worker.postMessage('stop')
      await Promise.all(ends)
      console.log('all workers have stopped')
    })
  }
}

async function work({ port }) {
  // There are enough threads already.
  configure({ pollers: 1 })
  const lines = delimited({ limit: 1024 * 1024 })
  const server = await serve({
    host: '127.0.0.1',
    port,
    reusePort: true,
    onRequest: lines.onFrame((line, { writer }) => {
      const hash = createHash('sha256').update(line).digest('hex')
      lines.write(writer, `${hash} by thread ${threadId}`)
    }),
  })
  parentPort.postMessage({ port: server.address.port })

  await once(parentPort, 'message')
  await server.shutdown({ deadlineMs: 5000, force: true }).catch(() => {})
  parentPort.close()
}
