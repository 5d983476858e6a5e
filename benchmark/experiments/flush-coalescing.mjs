// When to hand over what was flushed in promise continuations.
//
//   node benchmark/experiments/flush-coalescing.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: a handler that awaits flushes in a microtask, outside of the dispatch of events. Handed
// over at once, each flush is a crossing and a system call. How long to wait for others?
//
// Found: CPU of the process in µs a message with a handler that awaits each message, median and
// range of 3 rounds of 1 s. Measured on a virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node
// 20.20), which others share.
//
//                            1x64B              16x64Bx32          100x1KiB
//   after the microtasks     30.4 (27.3–31.3)   2.15 (2.03–2.16)   7.98 (7.87–8.11)
//   in the first microtask   29.6 (29.2–31.2)   6.22 (6.22–6.51)   7.85 (7.79–8.23)
//   at once                  31.6 (26.1–35.6)   7.06 (6.60–7.30)   8.61 (8.57–8.71)
//
// Where messages come in bulk, anything but the end of the microtask queue costs three times as
// much: each reply leaves in a segment of its own. Nothing is gained elsewhere.
//
// Decided: when no microtask is left (`process.nextTick` from the last one), as it was.
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
