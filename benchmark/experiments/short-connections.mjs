// What a short connection costs at its end.
//
//   node benchmark/experiments/short-connections.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

export const experiment = {
  name: 'short-connections',
  variants: {
    shipped: {},
    'not taken out of the selector': { patches: ['no-deregister'] },
    'errors made when asked for': { patches: ['late-errors'] },
    'closed and nothing else': { patches: ['close-alone'] },
  },
  loads: ['short:100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
