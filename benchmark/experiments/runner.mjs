// What all experiments share: variants under loads, in interleaved rounds.
//
// An experiment is `{ name, variants, loads }` and, if it wants them,
// - `settings`: of the server, for all variants; those of a variant (`settings`) come on top,
// - `tables`: lists of metrics, see metrics.mjs,
// - `withDelay`: the delay of the event loop is measured, too,
// - `measure(server, load, seconds)`: another measurement than the usual one, and
//   `render(load, results)`: another table.
//
// `variants` maps names to `{ limits?, patches?, settings? }`; ratios are to the first, which is
// what is shipped.
import { fileURLToPath } from 'node:url'
import util from 'node:util'

import { PlainError } from '../../scripts/requirements.mjs'
import { runScript, setup } from '../../scripts/setup.mjs'
import { parseLoad } from '../load.mjs'
import { describeMachine } from '../machine.mjs'
import { measure as measureUsual } from '../measure.mjs'
import { clearProgress, Schedule, showPhase } from '../progress.mjs'
import { renderTables } from '../table.mjs'
import { buildVariant } from './variants.mjs'

const server = fileURLToPath(new URL('echo-server.mjs', import.meta.url))

const usualTables = [['processCpuUs', 'mainCpuUs', 'p50us', 'p99us', 'rps']]

const usage = `Usage: node benchmark/experiments/NAME.mjs [options]
  --rounds N    how often each variant is measured (default 5)
  --seconds N   how long each time (default 2)
  --load L      a load, instead of those of the experiment; may be repeated
  --build       build the variants and measure nothing
  --help        print this`

/** Runs an experiment as its command line says. */
export async function run(experiment) {
  await runScript(async () => {
    const { rounds, seconds, loads, isBuild } = readArguments(experiment)
    await setup({ withLoadgen: true })
    const servers = buildServers(experiment)
    if (isBuild) return
    console.log(`${experiment.name}: ${rounds} rounds of ${seconds} s. ${describeMachine()}\n`)
    for (const load of loads.map(parseLoad)) {
      const results = await measureAll(experiment, servers, load, rounds, seconds)
      clearProgress()
      console.log(`${render(experiment, load, results)}\n`)
    }
  })
}

function readArguments({ loads }) {
  const { values } = util.parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '2' },
      load: { type: 'string', multiple: true, default: loads },
      build: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
  if (!(Number.isInteger(rounds) && rounds > 0 && seconds > 0)) throw new PlainError(usage)
  return { rounds, seconds, loads: values.load, isBuild: values.build }
}

/** By variant, what `measure` takes for a server, made for a load. */
function buildServers({ variants, settings = {} }) {
  return Object.entries(variants).map(([name, variant]) => {
    showPhase(`building: ${name}`)
    const folder = buildVariant(variant)
    const serverFor = ({ size }) => {
      const own = JSON.stringify({ ...settings, ...variant.settings, size })
      return { name, command: () => [process.execPath, server, folder, own] }
    }
    return [name, serverFor]
  })
}

/** Each round begins with another variant, so that none is always measured after the same one. */
async function measureAll({ measure, withDelay }, servers, load, rounds, seconds) {
  const results = Object.fromEntries(servers.map(([name]) => [name, []]))
  const schedule = new Schedule(rounds * servers.length)
  for (let round = 0; round < rounds; round += 1) {
    const first = round % servers.length
    for (const [name, serverFor] of [...servers.slice(first), ...servers.slice(0, first)]) {
      showPhase(`${schedule.next()} ${load.name}, ${name}`)
      const result =
        measure === undefined
          ? measureUsual(serverFor(load), load, seconds, () => {}, { withDelay })
          : measure(serverFor(load), load, seconds)
      results[name].push(await result)
    }
  }
  return results
}

function render({ variants, tables = usualTables, render: renderOwn }, load, results) {
  if (renderOwn !== undefined) return renderOwn(load, results)
  const [baseline] = Object.keys(variants)
  return renderTables(load.name, results, tables, baseline)
}
