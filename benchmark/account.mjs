// npm run account: where the time of a message goes, for nodepoll and for node:net: system calls,
// wake-ups, calls between JavaScript and native code, bytes copied and allocated.
//
// System calls are counted by strace, in a run of its own because it makes everything slower: what
// is done once a batch is then shared by other numbers of messages than usual.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { PlainError } from '../scripts/requirements.mjs'
import { runScript, setup, setupFolder } from '../scripts/setup.mjs'
import { startAsked } from './asked.mjs'
import { parseLoad } from './load.mjs'
import { describeMachine } from './machine.mjs'
import { drive, serverPath } from './measure.mjs'
import { integer, number, readOptions } from './options.mjs'
import { clearProgress, showPhase } from './progress.mjs'
import { median } from './statistics.mjs'
import { align, withSpread } from './table.mjs'
import { readUsage } from './usage.mjs'

const LOADS = ['1x64B', '16x64Bx32', '100x1KiB', '1000x1KiB', '4x1MiB', 'short:100x1KiB']

const probe = new URL('servers/account-probe.mjs', import.meta.url).href

/** Which calls receive, send and wake is known of each by name: sockets have others than pipes. */
const nodepollCalls = {
  receive: ['recvfrom', 'recvmsg'],
  send: ['sendto', 'sendmsg'],
  wake: ['read', 'write'],
}
const netCalls = { receive: ['read', 'readv'], send: ['write', 'writev'], wake: [] }

/** `crossings`: calls from JavaScript into native code and from there into JavaScript. */
const servers = [
  {
    name: 'nodepoll, inline',
    args: ['nodepoll.mjs', 'inline'],
    calls: nodepollCalls,
    crossings: ({ exchanges, turns }) => exchanges + turns,
  },
  {
    name: 'nodepoll, thread',
    args: ['nodepoll.mjs', 'thread'],
    calls: nodepollCalls,
    crossings: ({ exchanges, wakeupsOfHost }) => exchanges + wakeupsOfHost,
  },
  {
    name: 'node:net',
    args: ['node-net.mjs'],
    calls: netCalls,
    crossings: ({ netCrossings }) => netCrossings,
  },
]
const waitCalls = ['epoll_wait', 'epoll_pwait', 'epoll_pwait2']
const acceptCalls = ['accept', 'accept4', 'getsockname', 'getpeername', 'setsockopt', 'epoll_ctl']
const endCalls = ['close', 'shutdown']

/** Columns by table: heading, what of the counts, digits. */
const callColumns = [
  ['receive', 'receive', 3],
  ['send', 'send', 3],
  ['epoll_wait', 'wait', 3],
  ['eventfd', 'wake', 3],
  ['futex', 'futex', 3],
  ['accept, set up', 'accept', 3],
  ['close', 'end', 3],
  ['others', 'others', 3],
  ['all', 'all', 3],
]
const costColumns = [
  ['CPU, µs', 'processUs', 2],
  ['JavaScript thread, µs', 'mainUs', 2],
  ['crossings', 'crossings', 3],
  ['wake-ups of JavaScript', 'wakeupsOfHost', 3],
  ['of the I/O thread', 'wakeupsOfPoller', 3],
  ['voluntary switches', 'switches', 3],
  ['bytes copied', 'bytesCopied', 1],
  ['heap bytes', 'heapBytes', 0],
]

const declarations = {
  seconds: { value: 'N', default: 2, read: number(0.2, 60), help: 'how long each run takes' },
  rounds: { value: 'N', default: 3, read: integer(1, 100), help: 'runs without strace' },
  load: {
    value: 'L',
    default: LOADS,
    multiple: true,
    read: parseLoad,
    help: 'a load, such as 100x1KiB; may be repeated',
  },
}

await runScript(async () => {
  const purpose = 'Counts what a message costs, for nodepoll and for node:net.'
  const { seconds, rounds, load } = readOptions('account', purpose, declarations)
  const loads = load.map((one) => (typeof one === 'string' ? parseLoad(one) : one))
  if (spawnSync('strace', ['--version']).error !== undefined) {
    throw new PlainError('The program `strace` is needed, which Linux has.')
  }
  await setup({ withLoadgen: true })
  console.log(`${describeMachine()}. ${rounds} runs of ${seconds} s, one under strace.`)
  for (const one of loads) await account(one, seconds, rounds)
})

async function account(load, seconds, rounds) {
  const calls = new Map()
  const costs = new Map(servers.map((server) => [server, []]))
  for (const server of servers) {
    showPhase(`${load.name}, ${server.name}, strace`)
    calls.set(server, [await countCalls(server, load, seconds)])
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const server of servers) {
      showPhase(`${load.name}, ${server.name}`)
      costs.get(server).push(await countCosts(server, load, seconds))
    }
  }
  clearProgress()
  const per = load.mode === 'short' ? 'a connection' : 'a message'
  console.log(`\n${render(`${load.name}: calls ${per}`, calls, callColumns)}`)
  console.log(`\n${render(`${load.name}: cost ${per}`, costs, costColumns)}`)
}

function render(title, results, columns) {
  const rows = [...results].map(([{ name }, runs]) => [
    name,
    ...columns.map(([, key, digits]) =>
      cell(
        runs.map((run) => run[key]),
        digits,
      ),
    ),
  ])
  return align([[title, ...columns.map(([label]) => label)], ...rows])
}

function cell(values, digits) {
  if (!values.every(Number.isFinite)) return '-'
  const isSmall = median(values) < 0.5 * 10 ** -digits
  return isSmall ? '0' : withSpread(values, digits)
}

/** System calls for each message, in groups. */
async function countCalls(server, load, seconds) {
  const { pid, port, stop } = await startAsked(commandOf(server))
  try {
    await drive(port, load, seconds / 2)
    const tracer = await attach(pid)
    const { total } = await drive(port, load, seconds)
    const byName = await tracer.detach()
    return groupsOf(byName, server.calls, total)
  } finally {
    await stop()
  }
}

/** Counts all calls of all threads of a process from now on. */
async function attach(pid) {
  mkdirSync(setupFolder, { recursive: true })
  const file = join(setupFolder, 'strace.txt')
  const args = ['-f', '-c', '-U', 'name,calls', '-o', file, '-p', String(pid)]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const closed = once(strace, 'close')
  const said = createInterface({ input: strace.stderr })
  const [line] = await Promise.race([once(said, 'line'), closed])
  if (!/attached/.test(line)) throw new PlainError(`strace: ${line}`)
  said.on('line', () => {})
  const detach = async () => {
    strace.kill('SIGINT')
    await closed
    const lines = readFileSync(file, 'utf8').matchAll(/^(\w+) +(\d+)$/gm)
    const counted = [...lines].map(([, name, count]) => [name, Number(count)])
    return Object.fromEntries(counted.filter(([name]) => name !== 'total'))
  }
  return { detach }
}

function groupsOf(byName, { receive, send, wake }, total) {
  const groups = { receive, send, wake, wait: waitCalls, futex: ['futex'] }
  Object.assign(groups, { accept: acceptCalls, end: endCalls })
  const count = (names) => names.reduce((sum, name) => sum + (byName[name] ?? 0), 0) / total
  const counted = Object.entries(groups).map(([group, names]) => [group, count(names)])
  const all = count(Object.keys(byName))
  const known = counted.reduce((sum, [, value]) => sum + value, 0)
  return { ...Object.fromEntries(counted), others: all - known, all }
}

/** All other costs of each message. */
async function countCosts(server, load, seconds) {
  const { pid, port, ask, stop } = await startAsked(commandOf(server))
  try {
    // What runs first is compiled, and makes its shapes.
    await drive(port, load, seconds / 2)
    await ask('begin')
    const before = { ...readUsage(pid), switches: readSwitches(pid) }
    const { total } = await drive(port, load, seconds)
    const after = { ...readUsage(pid), switches: readSwitches(pid) }
    const counted = await ask('end')
    const perMessage = Object.entries(counted).map(([key, value]) => [key, value / total])
    return {
      ...Object.fromEntries(perMessage),
      crossings: server.crossings(counted) / total,
      // Nobody counts those of node:net.
      bytesCopied: server.calls === netCalls ? NaN : counted.bytesCopied / total,
      processUs: (after.processNs - before.processNs) / 1000 / total,
      mainUs: (after.mainNs - before.mainNs) / 1000 / total,
      switches: (after.switches - before.switches) / total,
    }
  } finally {
    await stop()
  }
}

function commandOf({ args: [file, ...host] }) {
  return [process.execPath, '--import', probe, serverPath(file), '0', ...host]
}

/** How often the threads of a process have gone to sleep of their own accord. */
function readSwitches(pid) {
  const threads = readdirSync(`/proc/${pid}/task`)
  return threads.reduce((sum, thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')
    return sum + Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)[1])
  }, 0)
}
