// One measurement: a server in a process of its own, driven by the verifying load generator.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { PlainError } from '../scripts/requirements.mjs'
import { loadgenPath } from '../scripts/setup.mjs'
import { start } from './processes.mjs'
import { readUsage, stealShare } from './usage.mjs'

const START_TIMEOUT_MS = 15_000

/** Connections that are there before idle memory is measured: what the first ones cost is not. */
const IDLE_BASE_SHARE = 0.2

/** How long idle connections are held, the first of them at most, and when memory is read. */
const IDLE_SECONDS = 2
const IDLE_SECONDS_MAX = 60
const IDLE_SETTLE_MS = 1000

const delayProbe = new URL('servers/delay-probe.mjs', import.meta.url).href

/** node:net and nodepoll: the servers of the demo. See rivals.mjs for all that are compared. */
export const servers = [
  { name: 'node:net', file: 'node-net.mjs' },
  { name: 'nodepoll', file: 'nodepoll.mjs' },
]

/** The path of a program in servers/. */
export function serverPath(file) {
  return fileURLToPath(new URL(`servers/${file}`, import.meta.url))
}

/**
 * Starts `server`, runs `load` for `seconds` and stops it again. `onProgress` gets requests/s,
 * once a second. CPU times and memory are those of the measured time, without the warm-up, and
 * `undefined` where there is no /proc.
 *
 * A server is `{ name, file }`, a program in servers/ for Node, or `{ name, command }`, where
 * `command(protocol)` is the command line without the port; `hasJavaScript: false` says that its
 * first thread is one like others.
 *
 * Options: `warmup` in seconds; `pinning`, the cores of `{ server, client }`; `withDelay` for the
 * delay of the server's event loop, if that is a Node's.
 */
export async function measure(server, load, seconds, onProgress = () => {}, options = {}) {
  const { pinning, withDelay = false, warmup } = options
  return withServer(server, load, { pinning, withDelay }, async (running) => {
    const usage = {}
    let delay
    const onPhase = (phase) => {
      usage[phase] = readUsage(running.pid)
      if (withDelay) delay = running.ask(phase)
    }
    const report = await drive(running.port, load, seconds, onProgress, {
      warmup,
      onPhase,
      cores: pinning?.client,
    })
    return { ...report, ...costOf(server, usage, report.replies), ...(await delay) }
  })
}

/**
 * What one of `load.connections` idle connections costs in resident memory: the growth from a
 * fifth of them to all.
 */
export async function measureIdle(server, load, { pinning } = {}) {
  const base = Math.max(1, Math.round(load.connections * IDLE_BASE_SHARE))
  const counted = load.connections - base
  return withServer(server, load, { pinning }, async ({ pid, port }) => {
    const hold = (connections, seconds, onHeld) =>
      drive(port, { ...load, connections }, seconds, undefined, { cores: pinning?.client, onHeld })
    const readSettled = async () => {
      await sleep(IDLE_SETTLE_MS)
      return readUsage(pid)?.memoryBytes
    }
    let before
    let after
    await hold(base, IDLE_SECONDS_MAX, async (stop) => {
      before = await readSettled()
      await hold(counted, IDLE_SECONDS, async () => (after = await readSettled()))
      stop()
    })
    return {
      memoryMiB: after && after / 1024 / 1024,
      bytesPerConnection: after && (after - before) / counted,
    }
  })
}

/**
 * Runs the load generator against a port, and resolves with its report. `onPhase` is told when it
 * begins and ends to measure, as `'measuring'` and `'measured'`. `onHeld` is called as soon as all
 * connections of an idle load are there, and may `stop()` the generator before its time.
 */
export async function drive(port, load, seconds, onProgress = () => {}, options = {}) {
  const { warmup, cores, onPhase = () => {}, onHeld = async () => {} } = options
  const { child, ended } = start([loadgenPath, ...loadArguments(port, load, seconds, warmup)], {
    cores,
  })
  let report
  let held
  let isStopped = false
  let errors = ''
  const stop = () => {
    isStopped = true
    child.kill('SIGKILL')
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    report = JSON.parse(line)
    if (load.mode !== 'idle') return
    held = onHeld(stop)
    // It is thrown below, when the generator has ended.
    held.catch(stop)
  })
  createInterface({ input: child.stderr }).on('line', (line) => {
    const rate = /^(\d+) requests\/s$/.exec(line)
    if (rate !== null) onProgress(Number(rate[1]))
    else if (line === 'measuring' || line === 'measured') onPhase(line)
    else errors += `${line}\n`
  })
  const ending = await ended
  await held
  if (ending === 'exit code 0' || isStopped) return report
  throw new PlainError(errors.trimEnd() || `the load generator ended with ${ending}`)
}

function loadArguments(port, load, seconds, warmup) {
  return [
    `--port=${port}`,
    `--mode=${load.mode}`,
    `--connections=${load.connections}`,
    `--idle=${load.idle ?? 0}`,
    `--size=${load.size}`,
    `--depth=${load.depth}`,
    `--seconds=${seconds}`,
    ...(load.protocol === 'rpc' ? ['--framed'] : []),
    ...(warmup === undefined ? [] : [`--warmup=${warmup}`]),
    '--progress',
  ]
}

function costOf({ hasJavaScript = true }, { measuring: before, measured: after }, replies) {
  if (before === undefined || after === undefined) return {}
  const perRequest = (key) => (after[key] - before[key]) / 1000 / replies
  return {
    mainCpuUs: hasJavaScript ? perRequest('mainNs') : undefined,
    processCpuUs: perRequest('processNs'),
    memoryMiB: after.memoryBytes / 1024 / 1024,
    stealShare: stealShare(before, after),
  }
}

/** Whatever `use` does, the server is stopped; failures say whose they are. */
async function withServer(server, load, options, use) {
  const running = await startServer(server, load, options)
  try {
    return await use(running)
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    throw new PlainError(`${server.name} under ${load.name}: ${error.message}`)
  } finally {
    await running.stop()
  }
}

async function startServer(server, load, { pinning, withDelay }) {
  const [executable, ...args] = commandOf(server, load)
  const { child, ended } = start(
    [executable, ...(withDelay ? ['--import', delayProbe] : []), ...args, '0'],
    { cores: pinning?.server, stdio: ['ignore', 'pipe', 'pipe', ...(withDelay ? ['ipc'] : [])] },
  )
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  const listening = new Promise((done) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /^listening (\d+)$/.exec(line)
      if (match !== null) done(Number(match[1]))
    })
  })
  let timer
  const late = new Promise((done) => (timer = setTimeout(done, START_TIMEOUT_MS, 'late')))
  const port = await Promise.race([listening, ended, late])
  clearTimeout(timer)
  const stop = () => (child.kill('SIGKILL'), ended)
  if (typeof port === 'number') return { pid: child.pid, port, stop, ask: askOf(child) }
  await stop()
  throw new PlainError(`${errors.trimEnd()}\nThe ${server.name} server did not start.`.trimStart())
}

/** A server's answer to a message. */
function askOf(child) {
  return (message) =>
    new Promise((done) => {
      child.once('message', done)
      child.send(message)
    })
}

function commandOf(server, load) {
  return server.command?.(load.protocol ?? 'echo') ?? [process.execPath, serverPath(server.file)]
}
