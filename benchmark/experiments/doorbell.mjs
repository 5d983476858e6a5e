// When to ring the doorbell.
//
//   node benchmark/experiments/doorbell.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: an I/O thread that has events wakes JavaScript. Only if that is idle, or always? Once
// before it carries out the commands it has got, so that JavaScript works meanwhile, or after them?
//
// Found: CPU of the process in µs a message, median and range of 3 rounds of 1 s. Measured on a
// virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which others share.
//
//                                 1x64B              16x64Bx32          100x1KiB
//   if idle, before and after     37.4 (34.5–41.7)   0.29 (0.27–0.31)   6.13 (5.95–6.28)
//   always                        31.6 (27.2–35.6)   0.26 (0.23–0.32)   5.96 (5.93–6.08)
//   if idle, after the commands   37.5 (34.9–38.0)   0.27 (0.25–0.29)   6.50 (6.18–7.42)
//
// To ring late costs 6 % with 100 connections, and 8 % of their requests/s: JavaScript starts when
// the thread has nothing more to do for it. To ring always is not worse in any of these, as a ring
// that is one too many is made while JavaScript is awake, and libuv sees it only when it comes by.
// For a lone message it is even better, by way of its p99 worse (127 in place of 115 µs): the ring
// comes before JavaScript has gone to sleep, which then does not.
//
// Decided: if it is idle, before and after, as it was. A lone message has the inline host, which
// nobody rings for; with many connections the two are within the spread of each other, and a
// wake-up that is not made cannot cost anything on a machine where it is dearer.
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
