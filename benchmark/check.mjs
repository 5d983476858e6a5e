// npm run bench:check: what a message costs that does not depend on the speed of the machine:
// system calls, crossings of the seam, wake-ups, records, bytes copied and bytes allocated. It
// fails if one of them is above its limit in limits.json.
//
// Each load is counted with each host, because they cost different things, and a driver that
// changes between them in the middle of a count would cost a mixture. How many messages meet in
// one batch depends on how fast client and server are, so what is paid a batch is limited where
// the load itself makes the batch: a lone connection, or a volley.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { runScript, setup } from '../scripts/setup.mjs'
import { parseLoad } from './load.mjs'
import { drive } from './measure.mjs'
import { number, readOptions } from './options.mjs'
import { clearProgress, showPhase } from './progress.mjs'
import { align } from './table.mjs'
import { canVolley, volley } from './volley.mjs'

const VOLLEY_ROUNDS = 50

const purpose =
  'Counts what nodepoll does for a message under several loads and compares it with the limits\n' +
  'in benchmark/limits.json. Exits with 1 if a limit is passed.'

const declarations = {
  seconds: {
    value: 'N',
    default: 1,
    read: number(0.2, 60),
    help: 'how long each load is counted',
  },
}

const limits = JSON.parse(readFileSync(new URL('limits.json', import.meta.url), 'utf8'))

await runScript(async () => {
  const { seconds } = readOptions('bench:check', purpose, declarations)
  await setup({ withLoadgen: true })
  const rows = []
  let passed = 0
  for (const [name, byHost] of Object.entries(limits)) {
    const [, handler = 'append', loadName] = /^(?:(await):)?(.*)/.exec(name)
    const fire = loadOf(loadName, seconds)
    if (fire === undefined) continue
    for (const host of ['thread', 'inline']) {
      showPhase(`${name} ${host}`)
      const counted = await count(fire, host, handler)
      for (const [what, max] of Object.entries({ ...byHost.either, ...byHost[host] })) {
        const is = counted[what]
        if (is > max) passed += 1
        rows.push([name, host, what, format(is), format(max), is > max ? 'TOO MUCH' : ''])
      }
    }
  }
  clearProgress()
  console.log(align([['load', 'host', 'a message', 'counted', 'limit', ''], ...rows]))
  console.log(passed === 0 ? '\nAll within their limits.' : `\n${passed} above their limits.`)
  process.exitCode = passed === 0 ? 0 : 1
})

/** What brings the load `name` to a server and resolves with how many messages that were. */
function loadOf(name, seconds) {
  const [, volleyed] = /^volley:(.*)/.exec(name) ?? []
  if (volleyed === undefined) {
    const load = parseLoad(name)
    return async ({ port }, share) => (await drive(port, load, seconds * share, () => {})).total
  }
  if (!canVolley) {
    console.error(`${name} is left out: it needs signals and /proc as Linux has them.`)
    return undefined
  }
  const load = parseLoad(volleyed)
  return async ({ pid, port }, share) => {
    const rounds = Math.ceil(VOLLEY_ROUNDS * share)
    await volley(pid, port, load, rounds)
    return rounds * load.connections
  }
}

/** Counts of a server with `handler` under a load, each divided by the messages. */
async function count(fire, host, handler) {
  const file = fileURLToPath(new URL('servers/counted.mjs', import.meta.url))
  // So much room for young objects that none is collected while they are counted.
  const execArgv = ['--max-semi-space-size=512', '--min-semi-space-size=512']
  const stdio = ['ignore', 'pipe', 'inherit', 'ipc']
  const server = fork(file, ['0', host, handler], { execArgv, stdio })
  try {
    const [line] = await once(server.stdout.setEncoding('utf8'), 'data')
    const target = { pid: server.pid, port: Number(/listening (\d+)/.exec(line)[1]) }
    // What runs first is compiled, and makes its shapes.
    await fire(target, 0.5)
    const before = await ask(server)
    const total = await fire(target, 1)
    const after = await ask(server)
    const counted = Object.entries(after).filter(([, value]) => typeof value === 'number')
    const perMessage = counted.map(([what, value]) => [what, (value - before[what]) / total])
    // Where there was a collection after all, nothing can be said.
    const isWhole = after.collections === before.collections
    return { ...Object.fromEntries(perMessage), ...(isWhole ? {} : { heapBytes: NaN }) }
  } finally {
    server.kill('SIGKILL')
  }
}

async function ask(server) {
  server.send('counts')
  const [answer] = await once(server, 'message')
  return answer
}

function format(value) {
  if (Number.isNaN(value)) return 'unknown'
  return value >= 100 ? value.toFixed(0) : value.toFixed(3)
}
