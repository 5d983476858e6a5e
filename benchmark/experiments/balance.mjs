// Which poller gets the next connection.
//
//   node benchmark/experiments/balance.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { startAsked } from '../asked.mjs'
import { drive } from '../measure.mjs'
import { align, withSpread } from '../table.mjs'
import { readUsage } from '../usage.mjs'
import { run } from './runner.mjs'

const rules = ['roundRobin', 'random', 'leastConnections']

export const experiment = {
  name: 'balance',
  variants: Object.fromEntries(
    [2, 3].flatMap((pollers) =>
      rules.map((loadBalance) => [
        `${loadBalance}, ${pollers}`,
        {
          patches: ['accepts-by-lane'],
          settings: { runtime: { host: 'thread', pollers, loadBalance } },
        },
      ]),
    ),
  ),
  // Even; four that are busy among many that are not; and connections that do not last.
  loads: ['100x1KiB', '4x64KiBx4+96', 'short:100x1KiB'],
  measure,
  render,
}

/** As usual, and how the connections were spread. */
async function measure(server, load, seconds) {
  const { pid, port, ask, stop } = await startAsked(server.command().concat('0'))
  try {
    const usage = {}
    const onPhase = (phase) => (usage[phase] = readUsage(pid))
    const report = await drive(port, load, seconds, () => {}, { onPhase })
    const { acceptsByLane } = await ask('counts')
    const processNs = usage.measured.processNs - usage.measuring.processNs
    return {
      ...report,
      processCpuUs: processNs / 1000 / report.replies,
      // 1 is an even spread; if one poller has got all, it is their number.
      spread: (Math.max(...acceptsByLane) * acceptsByLane.length) / sum(acceptsByLane),
    }
  } finally {
    await stop()
  }
}

function render(load, results) {
  const columns = [
    ['CPU, µs/request', 'processCpuUs', 2],
    ['p50, µs', 'p50us', 0],
    ['p99, µs', 'p99us', 0],
    ['requests/s', 'rps', 0],
    ['fullest poller, × its share', 'spread', 2],
  ]
  const rows = Object.entries(results).map(([name, rounds]) => [
    name,
    ...columns.map(([, key, digits]) =>
      withSpread(
        rounds.map((round) => round[key]),
        digits,
      ),
    ),
  ])
  return align([[load.name, ...columns.map(([label]) => label)], ...rows])
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0)
}

if (isMain(import.meta.url)) await run(experiment)
