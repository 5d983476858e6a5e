// How many connections to accept in a row.
//
//   node benchmark/experiments/accept-batch.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: a listener accepts until nobody waits, but not more than so many in a row, so that open
// connections do not wait behind a flood of new ones. How many?
//
// Found: CPU of the process in µs a connection and the 99th percentile in ms, median and range of 3
// rounds of 1 s. Measured on a virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20),
// which others share.
//
//              short:100x1KiB                     short:1000x64B
//   up to 64   35.5 (35.0–35.5)   6.3 (4.4–7.7)   33.4 (32.8–39.1)   90 (43–93)
//   1 by 1     35.9 (35.7–36.1)   5.2 (5.1–5.4)   38.1 (36.5–39.7)   56 (52–57)
//   up to 8    35.4 (35.2–36.5)   4.6 (4.2–5.6)   35.5 (33.5–36.6)   73 (40–112)
//   up to 512  36.0 (34.8–36.8)   6.2 (4.8–6.4)   34.9 (29.3–37.5)   59 (56–89)
//
// With 100 clients it makes no difference. With 1,000 that connect without pause, one by one costs
// 9 % more, and is steadier; the others are within the spread of each other.
//
// Decided: up to 64 (`ACCEPT_BATCH`), as it was: what it costs is bounded, and it gains what there
// is to gain.
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const batch = (connections) => ({ limits: { core: { ACCEPT_BATCH: connections } } })

export const experiment = {
  name: 'accept-batch',
  variants: {
    'up to 64': {},
    '1 by 1': batch('1'),
    'up to 8': batch('8'),
    'up to 512': batch('512'),
  },
  loads: ['short:100x1KiB', 'short:1000x64B'],
}

if (isMain(import.meta.url)) await run(experiment)
