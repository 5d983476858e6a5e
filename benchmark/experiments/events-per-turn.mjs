// How much to do before others have their turn.
//
//   node benchmark/experiments/events-per-turn.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: JavaScript handles events until there are none, but not more than so many (`EVENTS_MAX`)
// and not in more exchanges than so many (`TURNS_MAX`) before the rest of its process has its turn.
// A driver takes so many events from the kernel at a time (`KERNEL_EVENTS`). How many?
//
// Found: CPU of the process in µs a message, and the 99th percentile of the delay of the event loop
// in ms, median and range of 3 rounds of 1 s. Measured on a virtual machine with 2 cores (AMD EPYC,
// Linux 6.18, Node 20.20), which others share.
//
//                       100x1KiB                              1000x1KiB
//   shipped             7.54 (6.04–7.60)   0.83 (0.65–1.29)   7.03 (6.64–7.18)   1.47 (1.45–3.01)
//   128 events          6.41 (6.40–7.73)   0.84 (0.82–0.84)   6.94 (6.52–7.00)   1.68 (1.00–3.46)
//   8192 events         7.51 (6.21–7.74)   0.91 (0.85–1.11)   6.70 (6.21–7.00)   1.87 (1.09–2.67)
//   1 exchange          6.52 (6.09–7.59)   0.82 (0.78–0.92)   6.92 (6.46–7.14)   2.55 (2.17–2.87)
//   256 exchanges       6.26 (6.03–6.64)   0.85 (0.83–1.00)   6.68 (6.54–6.73)   2.55 (1.28–3.15)
//   128 kernel events   7.45 (6.07–7.47)   0.66 (0.53–0.75)   6.79 (6.61–7.15)   1.96 (1.09–2.95)
//
// All variants have two states with 100 connections, of 6.0 and of 7.5 µs: by which thread the load
// generator shares a core with. Between the variants there is nothing to choose: the delay is that
// of the scheduler, which has three busy threads for two cores, and not that of long batches.
//
// Decided: as it was. The limits are there for the worst case, and are not met in these loads.
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
