// Which poller gets the next connection.
//
//   node benchmark/experiments/balance.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: in turn, by chance, or the one that has the fewest connections?
//
// Found: CPU of the process in µs a message (short: a connection), and how many times its share the
// fullest poller has; median and range of 3 rounds of 1 s. Measured on a virtual machine with 2
// cores (AMD EPYC, Linux 6.18, Node 20.20), which others share. Four of the 100 connections are
// busy in the second load.
//
//                         100x1KiB                  4x64KiBx4+96              short:100x1KiB
//  roundRobin, 2        10.3 (10.2–11.1)  1.00  29.9 (29.8–30.8)  1.00  39.8 (38.3–42.2)  1.00
//  random, 2            10.1 (9.6–10.7)   1.10  29.3 (28.8–29.7)  1.14  36.8 (36.0–38.0)  1.00
//  leastConnections, 2  10.9 (10.1–11.9)  1.00  31.0 (27.9–31.7)  1.00  37.3 (37.2–43.1)  1.05
//  roundRobin, 3        10.3 (8.9–10.3)   1.02  29.3 (27.8–31.1)  1.02  45.8 (41.1–45.8)  1.00
//  random, 3            9.3 (8.5–10.6)    1.17  30.1 (27.3–37.5)  1.05  41.9 (41.3–49.7)  1.01
//  leastConnections, 3  9.6 (9.6–10.5)    1.02  29.2 (28.2–33.1)  1.02  43.2 (41.2–44.3)  1.00
//
// In CPU time they are within the spread of each other. By chance one of the pollers has up to a
// quarter more than its share (1.26), which is the time that its connections wait longer.
//
// Decided: `roundRobin`, as it is the simplest one that spreads evenly. `leastConnections` is for
// connections that differ much in how long they live.
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
