// Loaded into a server with --import: measures how late its event loop is between the messages
// 'measuring' and 'measured' of the parent process, and answers each with what it has found.
import { monitorEventLoopDelay } from 'node:perf_hooks'

// The finest there is. The histogram has the time from one timer to the next: this and the delay.
const RESOLUTION_MS = 1

const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })

process.on('message', (phase) => {
  if (phase === 'measuring') {
    histogram.enable()
    histogram.reset()
  } else {
    histogram.disable()
  }
  process.send({
    delayP50Ms: delay(histogram.percentile(50)),
    delayP99Ms: delay(histogram.percentile(99)),
    delayMaxMs: delay(histogram.max),
  })
})
process.on('disconnect', () => process.exit())

function delay(ns) {
  return Math.max(0, ns / 1e6 - RESOLUTION_MS)
}
