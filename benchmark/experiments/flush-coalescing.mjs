// When to hand over what was flushed in promise continuations.
//
//   node benchmark/experiments/flush-coalescing.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

export const experiment = {
  name: 'flush-coalescing',
  variants: {
    'after the microtasks': {},
    'in the first microtask': { patches: ['flush-in-first-microtask'] },
    'at once': { patches: ['flush-at-once'] },
  },
  settings: { handler: 'await' },
  loads: ['1x64B', '16x64Bx32', '100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
