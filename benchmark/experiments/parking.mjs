// Whether to look again before parking.
//
//   node benchmark/experiments/parking.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: before an I/O thread sleeps it says so, and looks at its queues once more, so that whoever
// fills them has to wake it only if it sleeps. Is that worth it, compared with a wake-up for each
// batch? Does it pay to ask the kernel once more, or to spin?
//
// Found: CPU of the process in µs a message, median and range of 4 rounds of 1 s. Measured on a
// virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which others share.
//
//                                  1x64B               16x64Bx32          100x1KiB
//   announce, look at the queues   26.5 (22.4–34.8)    0.26 (0.24–0.33)   6.35 (6.16–6.72)
//   no look, always woken          23.6 (21.7–28.9)    0.26 (0.24–0.29)   6.64 (6.39–6.77)
//   ask the kernel again           25.6 (21.1–30.3)    0.28 (0.25–0.31)   6.34 (6.12–6.55)
//   spin for 50 µs                 41.0 (36.0–53.2)    0.32 (0.29–0.38)   7.24 (6.64–8.42)
//
// Spinning costs 10 to 59 %: with as many threads as processors it takes the time of those that
// have work, load generator included. The rest is within the spread: 5 % in favour of the look with
// 100 connections, where there are batches to wake for; a lone message is sent by JavaScript itself
// and wakes nobody. To ask the kernel once more makes p99 of 16x64Bx32 three times as long and
// gives nothing.
//
// Decided: as it was: announce, look at the queues, sleep in the kernel.
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
