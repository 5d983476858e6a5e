// npm run demo: the same echo server on node:net and on nodepoll under the same load.
import { runScript, setup } from '../scripts/setup.mjs'
import { formatSize } from './load.mjs'
import { describeMachine } from './machine.mjs'
import { measure, servers } from './measure.mjs'
import { integer, number, readOptions } from './options.mjs'
import { clearProgress, showPhase, showRate } from './progress.mjs'
import { renderTables } from './table.mjs'

const purpose =
  'Runs an echo server on node:net, then one on nodepoll, each in a process of its own,\n' +
  'under a load generator that verifies every byte, and prints what each request cost.'

const declarations = {
  seconds: {
    value: 'N',
    default: 4,
    read: number(0.1, 3600),
    help: 'how long each server is measured',
  },
  connections: {
    value: 'N',
    default: 100,
    read: integer(1, 100_000),
    help: 'connections open at the same time',
  },
  size: {
    value: 'BYTES',
    default: 1024,
    read: integer(1, 256 * 1024 * 1024),
    help: 'size of one request, and of its reply',
  },
  depth: {
    value: 'N',
    default: 1,
    read: integer(1, 100_000),
    help: 'requests in flight on each connection before a reply is awaited',
  },
}

const TABLES = [
  ['rps', 'processCpuUs', 'mainCpuUs'],
  ['p50us', 'p99us', 'memoryMiB'],
]

await runScript(async () => {
  const { seconds, connections, size, depth } = readOptions('demo', purpose, declarations)
  await setup({ withLoadgen: true })
  const load = { name: 'the load', mode: 'echo', connections, size, depth }
  console.log(`
An echo server on node:net and on nodepoll, one after the other, ${seconds} s each.
${connections} connections, ${formatSize(size)} a request, ${depth} in flight on each connection.
${describeMachine()}
`)
  const results = {}
  for (const server of servers) {
    const label = `measuring ${server.name}`
    showPhase(label)
    results[server.name] = [await measure(server, load, seconds, (rate) => showRate(label, rate))]
  }
  clearProgress()
  console.log(renderTables('', results, TABLES, servers[0].name))
  const replies = Object.values(results).reduce((sum, [{ total }]) => sum + total, 0)
  const mebibytes = Math.round((replies * size) / 1024 / 1024)
  console.log(`
Verified: ${replies.toLocaleString('en-US')} replies, ${mebibytes.toLocaleString('en-US')} MiB, \
every byte right and in its place.
One run on one machine: \`npm run bench\` repeats it and shows the spread.`)
})
