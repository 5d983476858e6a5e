// How many pollers.
//
//   node benchmark/experiments/pollers.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: with more pollers the kernel's work is done by more threads, and batches get smaller. How
// many, on how many processors?
//
// Found: CPU of the process in µs a message (short: a connection), median and range of 3 rounds of
// 1 s. Measured on a virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which others
// share.
//
//              1x64B             100x1KiB          1000x1KiB       4x1MiB         short:100x1KiB
//  auto, 1    24.8 (24.7–24.9)  6.1 (6.0–7.0)     7.9 (6.9–8.1)   384 (357–587)  35.5 (35.1–35.6)
//  auto, 2    24.6 (24.4–25.6)  6.2 (6.1–6.3)     7.1 (7.0–9.2)   475 (365–774)  35.0 (34.9–35.7)
//  auto, 3    25.8 (24.6–31.6)  6.3 (6.1–7.6)     7.0 (6.6–8.4)   367 (367–383)  35.2 (35.1–35.9)
//  thread, 1  34.4 (33.9–36.5)  5.9 (5.9–6.0)     7.1 (7.0–7.8)   471 (464–491)  34.6 (34.6–40.4)
//  thread, 2  34.8 (34.1–36.7)  9.3 (8.2–9.4)     7.9 (7.3–8.8)   464 (438–525)  41.2 (40.5–42.6)
//  thread, 3  34.7 (34.6–37.6)  10.6 (9.6–10.7)   8.0 (7.3–10.2)  510 (472–539)  47.1 (43.1–47.3)
//
// More threads than there are processors for cost up to 73 %: they take each other's turn, and
// JavaScript is woken for smaller batches. Only large messages have 5 to 10 % more requests/s with
// more threads. `auto` suffers less, as drivers with little to do are turned by JavaScript.
//
// Decided: processors − 1, from 1 to 4. The one that is spared is JavaScript's; more than four keep
// up with anything that one JavaScript thread can handle. Machines with more processors were not to
// be had.
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
