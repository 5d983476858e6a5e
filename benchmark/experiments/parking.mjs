// Whether to look again before parking.
//
//   node benchmark/experiments/parking.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

export const experiment = {
  name: 'parking',
  variants: {
    'announce, look at the queues': {},
    'no look, always woken': { patches: ['no-second-look'] },
    'ask the kernel again': { patches: ['poll-again'] },
    'spin for 50 µs': { patches: ['spin'] },
  },
  settings: { runtime: { host: 'thread' } },
  loads: ['1x64B', '16x64Bx32', '100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
