// When to wake an I/O thread for connections that another one has accepted.
//
//   node benchmark/experiments/accepted-elsewhere.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked:
//
// Found:
//
// Decided:
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
