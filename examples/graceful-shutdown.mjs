// A service that can be replaced under load, as Kubernetes does it: no request that has arrived is
// lost, none waits for ever. A second port says whether new traffic should come here (a `tcpSocket`
// readiness probe).
//
//   node examples/graceful-shutdown.mjs [port] [readiness port]     0 picks a free one
import { setTimeout as sleep } from 'node:timers/promises'

import { lengthPrefixed, serve } from 'nodepoll'

const [port = 7000, readyPort = 7001] = process.argv.slice(2).map(Number)
const { HOST: host = '127.0.0.1', LEAVE_MS: leaveMs = '5000' } = process.env

/** Less than what is left of `terminationGracePeriodSeconds` after LEAVE_MS. */
const DEADLINE_MS = 20_000

const frames = lengthPrefixed()
let handled = 0

const server = await serve({
  host,
  port,
  onRequest: frames.onFrame(async (frame, { writer, signal }) => {
    const request = frame.toString()
    await sleep(5, undefined, { signal }) // the work
    frames.write(writer, `${request} is done`)
    handled++
  }),
  onError: (error) => console.error(error.message),
})
const readiness = await serve({ host, port: readyPort, onPrepare: (probe) => void probe.close() })
console.log('listening on', server.address.port)
console.log('ready on', readiness.address.port)

async function leave() {
  // No new traffic is sent here once the probe has failed, which others learn after a while. Until
  // then connections are accepted as ever.
  await readiness.shutdown()
  await sleep(Number(leaveMs))
  const open = server.loop.connectionCount
  await server.shutdown({ deadlineMs: DEADLINE_MS, force: true })
  console.log(`closed ${open} connections, handled ${handled} requests`)
}

for (const name of ['SIGINT', 'SIGTERM']) {
  // A second signal finds no handler and ends the process at once.
  process.once(name, () => {
    leave().catch((error) => {
      console.error(error.message)
      process.exitCode = 1
    })
  })
}
