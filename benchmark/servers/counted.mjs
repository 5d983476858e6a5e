// The echo server on nodepoll, which tells a parent process what it has counted when it asks.
import { PerformanceObserver } from 'node:perf_hooks'

import { stats } from 'nodepoll'

let collections = 0
new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({
  entryTypes: ['gc'],
})

process.on('message', () => {
  process.send({ ...stats(), heapBytes: process.memoryUsage().heapUsed, collections })
})
process.on('disconnect', () => process.exit())
await import('./nodepoll.mjs')
