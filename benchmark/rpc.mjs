// npm run bench:rpc: calls multiplexed over few connections, with nodepoll/rpc and with the same
// written on node:net, and a server on Go's netpoll. Server and callers are processes of their own;
// all speak the same frames, and every reply is compared with its request.
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { PlainError } from '../scripts/requirements.mjs'
import { runScript, setup } from '../scripts/setup.mjs'
import { describeMachine } from './machine.mjs'
import { formatSpread } from './metrics.mjs'
import { integer, number, readOptions } from './options.mjs'
import { start } from './processes.mjs'
import { clearProgress, showPhase } from './progress.mjs'
import { findRivals } from './rivals.mjs'
import { summarize } from './statistics.mjs'
import { align, withSpread } from './table.mjs'
import { readUsage } from './usage.mjs'

const START_TIMEOUT_MS = 15_000

const declarations = {
  callers: { value: 'N', default: 100, read: integer(1, 60_000), help: 'each with one call' },
  connections: { value: 'N', default: 4, read: integer(1, 1000), help: 'that they share' },
  size: { value: 'BYTES', default: 1024, read: integer(4, 1 << 20), help: 'of a request' },
  seconds: { value: 'N', default: 2, read: number(0.2, 60), help: 'how long each run takes' },
  rounds: { value: 'N', default: 5, read: integer(1, 100), help: 'how often each is measured' },
}

const node = (file) => [process.execPath, pathOf(file)]
const nodeServer = (file, ...flags) => [...node(file), '0', ...flags]

/** Who calls whom. The first is what the others are compared with. */
const pairs = [
  { name: 'node:net', client: 'node:net', server: () => nodeServer('net-server.mjs') },
  {
    name: 'node:net, a write a call',
    client: 'each',
    server: () => nodeServer('net-server.mjs', '--each'),
  },
  { name: 'nodepoll', client: 'nodepoll', server: () => nodeServer('nodepoll-server.mjs') },
  { name: 'nodepoll calls Go netpoll', client: 'nodepoll', server: goServer },
]

const columns = [
  ['calls/s', 'callsPerSecond', 0],
  ['server CPU, µs', 'serverUs', 2],
  ['callers’ CPU, µs', 'callersUs', 2],
  ['p50, µs', 'p50us', 0],
  ['p99, µs', 'p99us', 0],
]

function pathOf(file) {
  return new URL(`rpc/${file}`, import.meta.url).pathname
}

async function goServer() {
  const { rivals, leftOut } = await findRivals(['Go netpoll'])
  if (rivals.length === 0) throw new PlainError(leftOut[0].reason)
  // Flags of Go come before arguments.
  return [...rivals[0].command('echo'), '-mux', '0']
}

await runScript(async () => {
  const options = readOptions('bench:rpc', 'Compares calls over few connections.', declarations)
  await setup()
  const { callers, connections, size, rounds, seconds } = options
  console.log(`
${callers} callers over ${connections} connections, ${size} bytes, ${rounds} rounds of ${seconds} s.
${describeMachine()}
`)
  const found = await findPairs()
  const results = new Map(found.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const pair of found) {
      showPhase(`round ${round}: ${pair.name}`)
      results.get(pair.name).push(await measure(pair, options))
    }
  }
  clearProgress()
  console.log(render(results))
})

/** Those that are there, with the command lines of their servers. */
async function findPairs() {
  const found = []
  for (const pair of pairs) {
    try {
      found.push({ ...pair, command: await pair.server() })
    } catch (error) {
      if (!(error instanceof PlainError)) throw error
      console.log(`${pair.name} is left out: ${error.message}`)
    }
  }
  return found
}

async function measure({ client, command }, { callers, connections, size, seconds }) {
  const server = start(command)
  const port = await portOf(server.child)
  const numbers = [port, callers, connections, size, seconds].map(String)
  const { child, ended } = start([...node('callers.mjs'), client, ...numbers])
  const usage = {}
  let report
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) report = JSON.parse(line)
    else usage[line] = { server: readUsage(server.child.pid), callers: readUsage(child.pid) }
  })
  let errors = ''
  child.stderr.on('data', (text) => (errors += text))
  const ending = await ended
  server.child.kill()
  await server.ended
  if (ending !== 'exit code 0') throw new PlainError(`the callers ended with ${ending}\n${errors}`)
  const usOf = (who) => {
    const { measuring, measured } = usage
    if (measured?.[who] === undefined) return undefined
    return (measured[who].processNs - measuring[who].processNs) / 1000 / report.calls
  }
  return { ...report, serverUs: usOf('server'), callersUs: usOf('callers') }
}

async function portOf(child) {
  const late = setTimeout(() => child.kill(), START_TIMEOUT_MS)
  const lines = createInterface({ input: child.stdout })
  const [line] = await Promise.race([once(lines, 'line'), once(child, 'close')])
  clearTimeout(late)
  const [, port] = /^listening (\d+)$/.exec(line) ?? []
  if (port === undefined) throw new PlainError(`the server said '${line}'`)
  return Number(port)
}

function render(results) {
  const [baseline] = results.values()
  const head = ['', ...columns.map(([heading]) => heading), 'calls/s as a ratio']
  const rows = Array.from(results, ([name, rounds]) => [
    name,
    ...columns.map(([, key, digits]) =>
      withSpread(
        rounds.map((round) => round[key]),
        digits,
      ),
    ),
    formatSpread(summarize(rounds, baseline, 'callsPerSecond').ratio, 2),
  ])
  return align([head, ...rows])
}
