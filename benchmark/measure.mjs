// One measurement: a server in a process of its own, driven by the verifying load generator.
// CPU time is the scheduler's own count of the server's threads, so that neither the load
// generator nor the neighbours are in it.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { PlainError } from '../scripts/requirements.mjs'
import { loadgenPath } from '../scripts/setup.mjs'

const START_TIMEOUT_MS = 15_000

/** The servers that are compared; ratios are the last one's to the first one's. */
export const servers = [
  { name: 'node:net', file: 'node-net.mjs' },
  { name: 'nodepoll', file: 'nodepoll.mjs' },
]

const children = new Set()

// However this process ends, what it started ends with it.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(128 + constants.signals[signal]))
}

/**
 * Starts `server`, runs `load` for `seconds` and stops it again. `onProgress` gets requests/s,
 * once a second. CPU times and memory are `undefined` where there is no /proc.
 */
export async function measure(server, load, seconds, onProgress = () => {}) {
  const running = await start(server)
  try {
    const before = readCpu(running.pid)
    const report = await drive(running.port, load, seconds, onProgress)
    const after = readCpu(running.pid)
    const perRequest = (thread) =>
      before && after && (after[thread] - before[thread]) / 1000 / report.total
    return {
      ...report,
      mainCpuUs: perRequest('mainNs'),
      processCpuUs: perRequest('processNs'),
      memoryMiB: readMemory(running.pid),
    }
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    throw new PlainError(`${server.name} under ${load.name}: ${error.message}`)
  } finally {
    await running.stop()
  }
}

async function start({ name, file }) {
  const path = fileURLToPath(new URL(`servers/${file}`, import.meta.url))
  const child = spawn(process.execPath, [path, '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = track(child)
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
  if (typeof port === 'number') return { pid: child.pid, port, stop }
  await stop()
  throw new PlainError(`${errors.trimEnd()}\nThe ${name} server did not start.`.trimStart())
}

export async function drive(port, load, seconds, onProgress) {
  const child = spawn(
    loadgenPath,
    [
      `--port=${port}`,
      `--mode=${load.mode}`,
      `--connections=${load.connections}`,
      `--size=${load.size}`,
      `--depth=${load.depth}`,
      `--seconds=${seconds}`,
      '--progress',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  createInterface({ input: child.stderr }).on('line', (line) => {
    const match = /^(\d+) requests\/s$/.exec(line)
    if (match === null) errors += `${line}\n`
    else onProgress(Number(match[1]))
  })
  const ending = await track(child)
  if (ending === 'exit code 0') return JSON.parse(output)
  throw new PlainError(errors.trimEnd() || `the load generator ended with ${ending}`)
}

/** Resolves with how the process has ended, once its output is read too. */
function track(child) {
  children.add(child)
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) => {
      children.delete(child)
      done(code === null ? signal : `exit code ${code}`)
    })
  })
}

function readCpu(pid) {
  const cpu = { mainNs: 0, processNs: 0 }
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [ns] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')
      cpu.processNs += Number(ns)
      if (thread === String(pid)) cpu.mainNs += Number(ns)
    }
    return cpu
  } catch {
    return undefined
  }
}

function readMemory(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)[1]) / 1024
  } catch {
    return undefined
  }
}
