// The process of the load of `nodepoll bench`: connections that send, and check every byte that
// comes back. It is the same for all servers.
import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks'

import { type Connection, dial, fixedSize } from '../../index.ts'
import type { FromLoad, Load } from './messages.ts'

const WARM_MS = 300
const MICROS = 1000
const load = JSON.parse(process.argv[2] as string) as Load

let isMeasuring = false
let requests = 0
const latencies: RecordableHistogram = createHistogram()

await Promise.all(Array.from({ length: load.connections }, open))
setTimeout(() => tell({ isWarm: true }), WARM_MS)
process.once('message', measure)
process.on('disconnect', () => process.exit())
// Ctrl-C is for the one who measures to see.
process.on('SIGINT', () => {})

/** One connection: whenever a message has come back the next one leaves. */
async function open(_: unknown, number: number): Promise<Connection> {
  const payload = Buffer.from(Uint8Array.from({ length: load.size }, (_each, at) => at ^ number))
  const messages = fixedSize(load.size)
  const sent: number[] = []
  const send = (connection: Connection): void => {
    sent.push(performance.now())
    messages.write(connection.writer, payload)
  }
  const connection = await dial({
    host: '127.0.0.1',
    port: load.port,
    onRequest: messages.onFrame((message, self) => {
      if (!payload.equals(message)) throw new Error('what came back is not what was sent')
      const micros = (performance.now() - (sent.shift() as number)) * MICROS
      if (isMeasuring) {
        requests++
        latencies.record(Math.max(1, Math.round(micros)))
      }
      send(self)
    }),
    onError: fail,
  })
  void connection.closed.then(({ by }) => fail(new Error(`a connection was ended by ${by}`)))
  for (let count = 0; count < load.pipeline; count++) send(connection)
  connection.writer.flush()
  return connection
}

function measure(): void {
  isMeasuring = true
  const start = performance.now()
  setTimeout(() => {
    isMeasuring = false
    tell({
      requests,
      seconds: (performance.now() - start) / 1000,
      p50Micros: latencies.percentile(50),
      p99Micros: latencies.percentile(99),
    })
  }, load.seconds * 1000)
}

function fail(error: unknown): void {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(1)
}

function tell(message: FromLoad): void {
  process.send?.(message)
}
