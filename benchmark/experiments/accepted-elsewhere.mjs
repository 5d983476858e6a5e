// When to wake an I/O thread for connections that another one has accepted.
//
//   node benchmark/experiments/accepted-elsewhere.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: one thread accepts and gives connections to others. Does it wake them for each, or once it
// has accepted all that wait?
//
// Found: CPU of the process in µs a connection, median and range of 3 rounds of 1 s. Measured on a
// virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which others share.
//
//                             short:100x1KiB
//   for each, 2               39.7 (38.8–43.3)
//   once a batch, 2           39.9 (37.4–43.1)
//   for each, 2, random       39.8 (36.2–41.7)
//   once a batch, 2, random   39.0 (36.1–42.7)
//   for each, 3               43.3 (41.8–49.5)
//   once a batch, 3           46.2 (44.9–48.5)
//
// No difference: a thread that has been woken is awake for those that follow.
//
// Decided: for each, as it was, which needs no list of whom to wake.
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const spread = (pollers, loadBalance, patches = []) => ({
  patches,
  settings: { runtime: { host: 'thread', pollers, loadBalance } },
})
const once = ['wake-once-a-batch']

export const experiment = {
  name: 'accepted-elsewhere',
  variants: {
    'for each, 2': spread(2, 'roundRobin'),
    'once a batch, 2': spread(2, 'roundRobin', once),
    'for each, 2, random': spread(2, 'random'),
    'once a batch, 2, random': spread(2, 'random', once),
    'for each, 3': spread(3, 'roundRobin'),
    'once a batch, 3': spread(3, 'roundRobin', once),
  },
  loads: ['short:100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
