// Loaded into an echo server with --import: counts from the message 'begin' of the parent process
// to the message 'end', and answers the latter with what it has counted.
import { subscribe } from 'node:diagnostics_channel'
import { GCProfiler, getHeapStatistics } from 'node:v8'

import { stats } from 'nodepoll'

/** What a handle of node:net is called with for each message or connection. */
const CALLS = ['writeBuffer', 'writev', 'shutdown', 'close', 'readStart', 'setNoDelay']

let crossings = 0
let profiler
let before

// Calls of node:net into native code, and of native code into node:net.
subscribe('net.server.socket', ({ socket }) => {
  const { _handle: handle } = socket
  for (const name of CALLS) {
    const original = handle[name]
    handle[name] = function (first, second) {
      crossings += 1
      return original.call(this, first, second)
    }
  }
  countCrossing()
  for (const event of ['data', 'end', 'close']) socket.on(event, countCrossing)
})

process.on('message', (phase) => {
  if (phase === 'begin') {
    profiler = new GCProfiler()
    profiler.start()
    before = counts()
    process.send('begun')
  } else {
    const after = counts()
    const collections = profiler.stop().statistics
    const differences = Object.keys(after).map((key) => [key, after[key] - before[key]])
    process.send({
      ...Object.fromEntries(differences),
      heapBytes: allocated(collections, after),
    })
  }
})
process.on('disconnect', () => process.exit())

function countCrossing() {
  crossings += 1
}

function counts() {
  const numbers = Object.entries(stats()).filter(([, value]) => typeof value === 'number')
  return {
    ...Object.fromEntries(numbers),
    netCrossings: crossings,
    heapBytes: getHeapStatistics().used_heap_size,
  }
}

/** Bytes of the heap that were allocated, those that were collected included. */
function allocated(collections, after) {
  let sum = 0
  let last = before.heapBytes
  for (const { beforeGC, afterGC } of collections) {
    sum += Math.max(0, beforeGC.heapStatistics.usedHeapSize - last)
    last = afterGC.heapStatistics.usedHeapSize
  }
  return sum + Math.max(0, after.heapBytes - last)
}
