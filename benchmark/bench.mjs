// npm run bench: the loads that claims are made on, in interleaved rounds.
import { runScript, setup } from '../scripts/setup.mjs'
import { defaultLoads, parseLoad } from './load.mjs'
import { describeMachine } from './machine.mjs'
import { measure, servers } from './measure.mjs'
import { integer, number, readOptions } from './options.mjs'
import { clearProgress, showPhase, showRate } from './progress.mjs'
import { renderTable } from './table.mjs'

const purpose =
  'Measures echo servers on node:net and on nodepoll, round by round and in turn, so that a\n' +
  'machine that changes its speed changes it for both. Prints medians with their spread and\n' +
  'the ratio of the two, taken round by round. Every byte is verified.'

const declarations = {
  rounds: {
    value: 'N',
    default: 3,
    read: integer(1, 1000),
    help: 'measurements of each server under each load',
  },
  seconds: {
    value: 'N',
    default: 3,
    read: number(0.1, 3600),
    help: 'how long one measurement takes',
  },
  load: {
    value: 'LOAD',
    multiple: true,
    read: parseLoad,
    help:
      '[short:]CONNECTIONSxSIZE[xDEPTH], may be repeated\n' +
      `${' '.repeat(23)}(default ${defaultLoads.join(' ')})`,
  },
  json: { help: 'print every measurement as JSON instead of tables' },
}

await runScript(async () => {
  const options = readOptions('bench', purpose, declarations)
  const { rounds, seconds, load: loads = defaultLoads.map(parseLoad), json } = options
  await setup({ withLoadgen: true })
  const machine = describeMachine()
  if (!json) console.log(`\n${machine}\n${rounds} rounds of ${seconds} s: median (min–max)\n`)
  const measured = []
  for (const load of loads) {
    const results = await measureInTurn(load, rounds, seconds)
    measured.push({ load, results: Object.fromEntries(results) })
    if (!json) console.log(`${renderTable(load.name, results)}\n`)
  }
  if (json) console.log(JSON.stringify({ machine, rounds, seconds, measured }, null, 2))
})

async function measureInTurn(load, rounds, seconds) {
  const results = new Map(servers.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round += 1) {
    for (const server of servers) {
      const label = `${load.name}, round ${round} of ${rounds}: ${server.name}`
      showPhase(label)
      const result = await measure(server, load, seconds, (rate) => showRate(label, rate))
      results.get(server.name).push(result)
    }
  }
  clearProgress()
  return results
}
