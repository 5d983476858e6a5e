// A run: rounds of traffic, each with a pause at its end in which nothing may be left of it.
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'

import { configure } from 'nodepoll'

import { ClientProcess } from './client-process.mjs'
import { kept } from './kinds/slices.mjs'
import { upstreams } from './kinds/proxy.mjs'
import { openLedgers } from './ledger.mjs'
import { Report } from './report.mjs'
import { countDescriptors, Resources } from './resources.mjs'
import { counts, startServer } from './server.mjs'
import { onViolation, violate, watchProcess } from './violation.mjs'

const PROGRESS_MS = 5000
const ROUND_SECONDS_MAX = 60
/** A run has about so many rounds at least, as memory is compared with the first one's. */
const ROUNDS_MIN = 3
/** What is left of the time is not worth a round of its own. */
const ROUND_SECONDS_MIN = 1

/** Takes the options of `soak.mjs`. Ends the process: with exit code 1 if something is wrong. */
export async function soak(options) {
  const { minutes, seed, pollers } = options
  const memoryMax = options['memory-max'] * 2 ** 20
  const clients = new ClientProcess()
  const report = new Report(clients, options)
  watchProcess("server's process")
  onViolation((message) => {
    console.error(report.violation(message))
    process.exit(1)
  })
  console.log(report.command)
  configure({ memoryMax, pollers })
  const server = await startServer(seed, cleanUpAtExit(clients))
  await clients.start({
    seed,
    memoryMax,
    pollers,
    clients: options.clients,
    targets: server.targets,
  })
  const resources = await Resources.begin('the server')
  if (countDescriptors() === undefined) console.log('Descriptors are not counted without /proc.')
  const progress = setInterval(() => console.log(report.progress()), PROGRESS_MS)
  await runRounds({ minutes, clients, server, resources, report })
  clearInterval(progress)
  await clients.stop()
  await server.shutdown()
  console.log(report.success())
  process.exit(0)
}

/** However this process ends. Gives the path for the unix socket, where there are any. */
function cleanUpAtExit(clients) {
  const hasUnixSockets = process.platform !== 'win32'
  const folder = hasUnixSockets ? mkdtempSync(join(tmpdir(), 'nodepoll-soak-')) : undefined
  process.on('exit', () => {
    clients.kill()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
  return folder && join(folder, 'socket')
}

async function runRounds({ minutes, clients, server, resources, report }) {
  const end = performance.now() + minutes * 60_000
  const seconds = Math.min(ROUND_SECONDS_MAX, (minutes * 60) / ROUNDS_MIN)
  const secondsLeft = () => (end - performance.now()) / 1000
  for (let round = 1; secondsLeft() > ROUND_SECONDS_MIN; round++) {
    clients.go()
    await later(Math.min(seconds, secondsLeft()) * 1000)
    await clients.pause()
    await resources.drain(() => whatIsLeft(server))
    checkCounts(clients.report.opened + upstreams.dialled)
    console.log(report.pause(round, resources.checkMemory()))
  }
}

/** Of the server, apart from what `Resources` looks at. */
function whatIsLeft({ loop }) {
  const [ledger] = openLedgers
  if (ledger !== undefined) {
    return `${openLedgers.size} connections are left, the first is ${ledger.describe()}`
  }
  if (loop.connectionCount > 0) return `the loop counts ${loop.connectionCount} connections`
  return kept.slices > 0 ? `${kept.slices} slices are kept` : undefined
}

function checkCounts(opened) {
  const { connects } = counts
  if (connects !== opened) violate(`${opened} connections were opened, ${connects} accepted`)
}
