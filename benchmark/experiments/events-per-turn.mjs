// How much to do before others have their turn.
//
//   node benchmark/experiments/events-per-turn.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const lib = (limits) => ({ limits: { lib: limits } })

export const experiment = {
  name: 'events-per-turn',
  variants: {
    shipped: {},
    '128 events': lib({ EVENTS_MAX: '128' }),
    '8192 events': lib({ EVENTS_MAX: '8192' }),
    '1 exchange': lib({ TURNS_MAX: '1' }),
    '256 exchanges': lib({ TURNS_MAX: '256' }),
    '128 kernel events': { limits: { core: { KERNEL_EVENTS: '128' } } },
  },
  loads: ['100x1KiB', '1000x1KiB', '16x64Bx32'],
  tables: [['processCpuUs', 'mainCpuUs', 'p99us', 'rps', 'delayP99Ms']],
  withDelay: true,
}

if (isMain(import.meta.url)) await run(experiment)
