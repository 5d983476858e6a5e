// How many pollers.
//
//   node benchmark/experiments/pollers.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const pollers = (count, host) => ({ settings: { runtime: { pollers: count, host } } })

export const experiment = {
  name: 'pollers',
  variants: {
    'auto, 1': pollers(1, 'auto'),
    'auto, 2': pollers(2, 'auto'),
    'auto, 3': pollers(3, 'auto'),
    'thread, 1': pollers(1, 'thread'),
    'thread, 2': pollers(2, 'thread'),
    'thread, 3': pollers(3, 'thread'),
  },
  loads: ['1x64B', '100x1KiB', '1000x1KiB', '4x1MiB', 'short:100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
