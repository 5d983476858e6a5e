// npm run soak: clients of all kinds against a server on nodepoll, for as long as is wanted.
// Every byte, every callback and everything that is held is checked; the first thing that is
// wrong ends the run with exit code 1. See soak/kinds.mjs for what the clients do.
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as later } from 'node:timers/promises'

import { configure, stats } from 'nodepoll'

import { integer, number, readOptions } from './options.mjs'
import { ClientProcess } from './soak/client-process.mjs'
import { kept } from './soak/kinds/slices.mjs'
import { upstreams } from './soak/kinds/proxy.mjs'
import { openLedgers } from './soak/ledger.mjs'
import { countDescriptors, Resources } from './soak/resources.mjs'
import { counts, startServer } from './soak/server.mjs'
import { verified } from './soak/stream.mjs'
import { onViolation, violate, watchProcess } from './soak/violation.mjs'

const PROGRESS_MS = 5000
const ROUND_SECONDS_MAX = 60
/** A run has at least so many rounds, as memory is compared with the first one's. */
const ROUNDS_MIN = 3

const options = readOptions(
  'soak',
  'Lets clients of all kinds loose on a server, and checks all.',
  {
    minutes: { help: 'how long', value: 'N', default: 10, read: number(0.1, 100_000) },
    seed: {
      help: 'what the random choices follow from',
      value: 'N',
      read: integer(0, 2 ** 32 - 1),
    },
    clients: { help: 'clients at a time', value: 'N', default: 200, read: integer(1, 10_000) },
    'memory-max': {
      help: 'memoryMax, in MiB',
      value: 'MiB',
      default: 128,
      read: integer(64, 65_536),
    },
    pollers: { help: 'I/O threads of each process', value: 'N', default: 2, read: integer(1, 64) },
  },
)
const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32)
const memoryMax = options['memory-max'] * 2 ** 20
const started = performance.now()
const delay = monitorEventLoopDelay({ resolution: 10 })
const clients = new ClientProcess()
const folder =
  process.platform === 'win32' ? undefined : mkdtempSync(join(tmpdir(), 'nodepoll-soak-'))

process.on('exit', () => {
  clients.kill()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(128 + constants.signals[signal]))
}
watchProcess("server's process")
onViolation((message) => {
  console.error(`\n${clock()}  VIOLATION: ${message}\n${summary()}`)
  console.error(`\nTo try again: ${command()}`)
  process.exit(1)
})

console.log(command())
configure({ memoryMax, pollers: options.pollers })
const server = await startServer(seed, folder && join(folder, 'socket'))
await clients.start({
  seed,
  memoryMax,
  clients: options.clients,
  pollers: options.pollers,
  targets: server.targets,
})
const resources = await Resources.begin('the server')
if (countDescriptors() === undefined) console.log('Descriptors are not counted without /proc.')
delay.enable()
const progress = setInterval(showProgress, PROGRESS_MS)
await runRounds()
clearInterval(progress)
await clients.stop()
await server.shutdown()
console.log(`\n${summary()}\n\nNothing is wrong after ${clock()}.`)
process.exit(0)

async function runRounds() {
  const totalSeconds = options.minutes * 60
  const roundSeconds = Math.min(ROUND_SECONDS_MAX, totalSeconds / ROUNDS_MIN)
  for (let round = 1; performance.now() - started < totalSeconds * 1000 - 500; round++) {
    clients.go()
    await later(Math.min(roundSeconds, totalSeconds - elapsedSeconds()) * 1000)
    await clients.pause()
    await resources.drain(whatIsLeft)
    const { opened } = clients.report
    if (counts.connects !== opened + upstreams.dialled) {
      violate(`${opened + upstreams.dialled} connections were opened, ${counts.connects} accepted`)
    }
    const rss = resources.checkMemory()
    console.log(`${clock()}  pause ${round}: nothing is left, RSS ${mebibytes(rss)}`)
  }
}

/** Of the server, apart from what `Resources` looks at. */
function whatIsLeft() {
  const [ledger] = openLedgers
  if (ledger !== undefined) {
    return `${openLedgers.size} connections are left, the first is ${ledger.describe()}`
  }
  if (server.loop.connectionCount > 0) {
    return `the loop counts ${server.loop.connectionCount} connections`
  }
  return kept.slices > 0 ? `${kept.slices} slices are kept` : undefined
}

function showProgress() {
  const { opened, ended, bytes, rss, descriptors } = clients.report
  const parts = [
    `opened ${count(opened)}`,
    `ended ${count(ended)}`,
    `verified ${mebibytes(bytes + verified.bytes)}`,
    `RSS ${mebibytes(process.memoryUsage.rss())} + ${mebibytes(rss)}`,
    `leased ${mebibytes(stats().arenaBytesLeased)}`,
    `descriptors ${countDescriptors() ?? '-'} + ${descriptors ?? '-'}`,
    `delay ${Math.round(delay.max / 1e6)} ms`,
  ]
  delay.reset()
  console.log(`${clock()}  ${parts.join(', ')}`)
}

function summary() {
  if (clients.report === undefined) return 'Nothing has begun.'
  const { opened, ended, bytes, rss, kinds } = clients.report
  const { bytesRead, bytesWritten, pauses, switches, arenaBytes, bytesCopied } = stats()
  const pausesOf = Object.entries(pauses).map(([cause, times]) => `${cause} ${count(times)}`)
  return [
    `clients        ${count(opened)} opened, ${count(ended)} ended, ${clients.report.running} open`,
    `               ${kinds.map(([name, times]) => `${name} ${count(times)}`).join(', ')}`,
    `handlers       ${Object.entries(counts)
      .map(([name, n]) => `${name} ${count(n)}`)
      .join(', ')}`,
    `verified       ${mebibytes(bytes)} by clients, ${mebibytes(verified.bytes)} by the server`,
    `server         ${mebibytes(bytesRead)} read, ${mebibytes(bytesWritten)} written, ` +
      `${mebibytes(bytesCopied)} copied, ${count(switches)} switches`,
    `sockets paused ${pausesOf.join(', ')}`,
    `memory         RSS ${mebibytes(process.memoryUsage.rss())} (clients ${mebibytes(rss)}), ` +
      `arena ${mebibytes(arenaBytes)}`,
  ].join('\n')
}

function command() {
  const { minutes, pollers } = options
  return (
    `npm run soak -- --minutes ${minutes} --seed ${seed} --clients ${options.clients} ` +
    `--memory-max ${options['memory-max']} --pollers ${pollers}`
  )
}

function clock() {
  const seconds = Math.round(elapsedSeconds())
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function elapsedSeconds() {
  return (performance.now() - started) / 1000
}

function count(value) {
  return value.toLocaleString('en-US')
}

function mebibytes(bytes) {
  return `${count(Math.round(bytes / 2 ** 20))} MiB`
}
