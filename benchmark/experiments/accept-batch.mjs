// How many connections to accept in a row.
//
//   node benchmark/experiments/accept-batch.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
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
