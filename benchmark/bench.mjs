// npm run bench: servers side by side, scenario by scenario, in interleaved rounds.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import { runScript, setup } from '../scripts/setup.mjs'
import { PlainError } from '../scripts/requirements.mjs'
import { describePinning, parsePinning, planPinning } from './cores.mjs'
import { parseLoad } from './load.mjs'
import { describeMachine, machineFacts } from './machine.mjs'
import { measure, measureIdle } from './measure.mjs'
import { integer, number, readOptions } from './options.mjs'
import { clearProgress, Schedule, showPhase, showRate } from './progress.mjs'
import * as results from './results.mjs'
import { findRivals, parseRival } from './rivals.mjs'
import {
  describeLoad,
  inOrder,
  parseScenario,
  scenarios,
  scenarioWith,
  tablesOf,
} from './scenarios.mjs'
import { renderTables } from './table.mjs'

const outputFolder = fileURLToPath(new URL('output/', import.meta.url))

const purpose = `\
Measures servers on nodepoll, node:net and other runtimes, each in a process of its own, under a
load generator that verifies every byte. They take turns, round by round, so that a machine that
changes its speed changes it for all. Prints medians with their spread and ratios to node:net, and
writes all there is as JSON and as one HTML page.

Scenarios: ${scenarios.map(({ name }) => name).join(', ')}.`

const declarations = {
  quick: { help: 'one short round of small loads: whether it works, not how fast' },
  scenario: {
    value: 'NAME',
    multiple: true,
    read: parseScenario,
    help: 'measure this one alone; may be repeated',
  },
  load: {
    value: 'LOAD',
    multiple: true,
    read: parseLoad,
    help:
      'a load of your own, alone or beside scenarios; may be repeated:\n' +
      '[short:|rpc:|idle:]CONNECTIONSxSIZE[xDEPTH][+IDLE], as in\n' +
      '100x1KiB, 16x64Bx32, short:100x1KiB or rpc:100x1KiB+4000',
  },
  rival: {
    value: 'NAME',
    multiple: true,
    read: parseRival,
    help:
      'measure this server alone; may be repeated: node:net,\n' +
      'node:net-onread, bun, deno, go-netpoll, nodepoll',
  },
  rounds: { value: 'N', read: integer(1, 1000), help: 'measurements of each server (default 3)' },
  seconds: { value: 'N', read: number(0.1, 3600), help: 'how long each takes (default 2)' },
  warmup: { value: 'N', read: number(0, 3600), help: 'seconds of load before each (default 1)' },
  pin: {
    value: 'CORES',
    default: 'auto',
    read: parsePinning,
    help: 'none, or cores of SERVER/CLIENT as in 0-3/5; auto pins\nif there are four or more',
  },
  json: { value: 'FILE', help: 'where the results go (default benchmark/output/results.json)' },
  html: { value: 'FILE', help: 'where the report goes (default benchmark/output/report.html)' },
  svg: { value: 'FILE', help: 'write the chart that the README shows' },
  from: {
    value: 'FILE',
    multiple: true,
    help: 'measure nothing, but tell what is in these results; may be\nrepeated',
  },
  'install-rivals': { help: 'install Bun and Deno into benchmark/rivals first' },
}

await runScript(async () => {
  const options = readOptions('bench', purpose, declarations)
  await setup({
    withLoadgen: options.from === undefined,
    withReport: true,
    withRivals: options['install-rivals'],
  })
  const told = options.from?.map(results.readResults)
  const found = told === undefined ? await measureAll(options) : results.mergeResults(told)
  found.measured = inOrder(found.measured)
  if (told !== undefined) for (const entry of found.measured) console.log(`${toText(entry)}\n`)
  await write(found, options)
  const failures = results.failuresOf(found)
  if (failures.length > 0) throw new PlainError(`Failed:\n${failures.join('\n')}`)
})

async function measureAll(options) {
  const { rounds, seconds, warmup } = timesOf(options)
  const { rivals, leftOut } = await findRivals(options.rival)
  const pinning = planPinning(options.pin)
  const machine = machineFacts()
  const found = results.newResults({
    machine,
    pinning,
    seconds,
    warmup,
    rivals: rivals.map(({ name, version }) => ({ name, version })),
    leftOut,
  })
  console.log(`\n${describeMachine(machine)}`)
  for (const { name, version } of rivals) console.log(`  ${name.padEnd(16)} ${version}`)
  for (const { name, reason } of leftOut) console.log(`  ${name.padEnd(16)} left out: ${reason}`)
  const times = rounds === 1 ? '1 round' : `${rounds} rounds`
  console.log(`${times} of ${seconds} s after ${warmup} s of warm-up: median (min–max)`)
  console.log(`Cores: ${describePinning(pinning)}\n`)

  const plan = planOf(options, rivals)
  const schedule = new Schedule(plan.reduce((sum, one) => sum + one.rivals.length * rounds, 0))
  for (const one of plan) {
    await measureInTurn(one, { rounds, seconds, warmup, pinning, schedule, found })
  }
  return found
}

function timesOf({ quick, rounds, seconds, warmup }) {
  const [someRounds, someSeconds, someWarmup] = quick ? [1, 0.3, 0.2] : [3, 2, 1]
  return {
    rounds: rounds ?? someRounds,
    seconds: seconds ?? someSeconds,
    warmup: warmup ?? someWarmup,
  }
}

/** Each load with its scenario and those who are measured under it. */
function planOf({ quick, scenario: wanted, load: own = [] }, rivals) {
  const chosen = wanted ?? (own.length > 0 ? [] : scenarios)
  const planned = chosen.flatMap((scenario) => {
    const able = scenario.onlyNode ? rivals.filter(({ isNode }) => isNode) : rivals
    const loads = quick ? scenario.quick : scenario.loads
    return loads.map((name) => ({ scenario, load: parseLoad(name), rivals: able }))
  })
  const added = own.map((load) => ({ scenario: scenarioWith(load.name), load, rivals }))
  return [...planned, ...added]
}

async function measureInTurn({ scenario, load, rivals }, context) {
  const { rounds, schedule, found } = context
  const isFirst = found.measured.every((entry) => entry.scenario !== scenario.name)
  if (isFirst) console.log(`${scenario.title}: ${scenario.text}\n`)
  for (let round = 0; round < rounds; round += 1) {
    for (const index of rivals.keys()) {
      // Each round begins with another one, so that none always follows the same.
      const rival = rivals[(index + round) % rivals.length]
      const label = `${schedule.next()} ${scenario.name}, ${describeLoad(load.name)}: ${rival.name}`
      showPhase(label)
      const measured = await measureOnce(rival, scenario, load, { ...context, label })
      results.addRound(found, {
        scenario: scenario.name,
        load: load.name,
        rival: rival.name,
        round: measured,
      })
    }
  }
  clearProgress()
  if (rivals.length > 0) console.log(`${toText(found.measured.at(-1))}\n`)
}

/** What failed is told too, and does not end the others. */
async function measureOnce(rival, scenario, load, { seconds, warmup, pinning, label }) {
  try {
    if (load.mode === 'idle') return await measureIdle(rival, load, { pinning })
    return await measure(rival, load, seconds, (rate) => showRate(label, rate), {
      warmup,
      pinning,
      withDelay: scenario.onlyNode === true,
    })
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    return { error: error.message }
  }
}

function toText(entry) {
  const baseline = results.baselineOf(entry.results)
  return renderTables(describeLoad(entry.load), entry.results, tablesOf(entry), baseline)
}

async function write(found, { json, html, svg }) {
  // What this imports is there only now.
  const { renderReport, renderReadmeChart } = await import('./report/index.mjs')
  const jsonPath = json ?? `${outputFolder}results.json`
  const htmlPath = html ?? `${outputFolder}report.html`
  for (const path of [jsonPath, htmlPath]) mkdirSync(dirname(path), { recursive: true })
  results.writeResults(jsonPath, found)
  writeFileSync(htmlPath, renderReport(found))
  if (svg !== undefined) writeFileSync(svg, renderReadmeChart(found))
  console.log(`${[jsonPath, htmlPath, svg ?? []].flat().join('\n')}`)
}
