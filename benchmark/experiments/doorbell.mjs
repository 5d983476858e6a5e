// When to ring the doorbell.
//
//   node benchmark/experiments/doorbell.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

export const experiment = {
  name: 'doorbell',
  variants: {
    'idle host, before and after the commands': {},
    always: { patches: ['ring-always'] },
    'idle host, after the commands': { patches: ['ring-at-end'] },
  },
  settings: { runtime: { host: 'thread' } },
  loads: ['1x64B', '16x64Bx32', '100x1KiB', '1000x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
