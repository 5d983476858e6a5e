// Direct send or hand-over.
//
//   node benchmark/experiments/direct-send.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: when JavaScript flushes and the I/O thread sleeps, JavaScript can send by itself, or wake
// the thread to do it. Up to how many commands is the first one better?
//
// Found: CPU of the process in µs a message, median and range of 4 rounds of 1 s. Measured on a
// virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which others share.
//
//                       1x64B                16x64Bx32          100x1KiB
//   up to 4             29.3 (26.5–30.5)     0.26 (0.25–0.28)   6.50 (5.88–6.66)
//   always hand over    33.1 (31.8–34.3)     0.29 (0.26–0.32)   6.53 (6.00–6.94)
//   up to 1             28.3 (26.8–29.7)     0.27 (0.26–0.29)   6.09 (6.07–6.44)
//   up to 16            26.9 (25.9–28.6)     0.26 (0.25–0.26)   6.32 (5.95–6.61)
//   always direct       28.5 (22.4–31.2)     0.30 (0.27–0.32)   7.49 (7.01–7.74)
//
// To hand a lone message over costs 15 % and 30 µs of its p99. To send everything directly costs 14
// to 17 % with many connections, and their requests/s fall by 11 to 21 %: the thread finishes early
// and parks again, and JavaScript has the kernel's work to do (5.0 µs a message of 100x1KiB in
// place of 0.6). From 1 to 16 all are alike, but at 16 JavaScript does three times as much with 16
// connections.
//
// Decided: up to 4 (`DIRECT_COMMANDS`), as it was: anything small does.
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const upTo = (commands) => ({ limits: { core: { DIRECT_COMMANDS: commands } } })

export const experiment = {
  name: 'direct-send',
  variants: {
    'up to 4': {},
    'always hand over': upTo('0'),
    'up to 1': upTo('1'),
    'up to 16': upTo('16'),
    'always direct': upTo('u32::MAX'),
  },
  settings: { runtime: { host: 'thread' } },
  loads: ['1x64B', '16x64Bx32', '100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
