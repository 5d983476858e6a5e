// Sizes of nodes and chunks.
//
//   node benchmark/experiments/nodes-and-chunks.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: the arena grows by chunks; a read goes into a node, which is shared by the reads of many
// connections until it is full. How large should they be?
//
// Found: CPU of the process in µs a message, median and range of 3 rounds of 1 s. Measured on a
// virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which others share.
//
//                       100x1KiB           1000x1KiB          4x1MiB
//   shipped             5.87 (5.86–5.97)   7.67 (6.19–7.93)   363 (357–645)
//   read node 16 KiB    5.98 (5.88–6.16)   7.65 (6.09–7.95)   431 (410–490)
//   read node 256 KiB   5.96 (5.95–6.00)   6.84 (6.16–7.21)   351 (347–373)
//   chunk 512 KiB       5.82 (5.80–5.85)   6.24 (6.05–7.90)   367 (361–381)
//   chunk 4 MiB         5.88 (5.81–6.00)   6.15 (6.08–8.14)   355 (342–381)
//
// Small read nodes cost 13 % of large messages: more receive calls. Larger ones than 64 KiB gain 3
// %, within the spread, and are pinned whole by whoever keeps a byte of them. Chunks only matter
// while the arena grows. Resident memory is the same for all, 58 to 61 MiB. With 1,000 connections
// all have two states, as is told in events-per-turn.mjs.
//
// Decided: as it was, read nodes of 64 KiB in chunks of 1 MiB.
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const read = (bytes) => ({ limits: { core: { READ_NODE_BYTES: bytes } } })

export const experiment = {
  name: 'nodes-and-chunks',
  variants: {
    shipped: {},
    'read node 16 KiB': read('16 << 10'),
    'read node 256 KiB': read('256 << 10'),
    'chunk 512 KiB': { patches: ['chunk-512KiB'] },
    'chunk 4 MiB': { patches: ['chunk-4MiB'] },
  },
  loads: ['100x1KiB', '1000x1KiB', '4x1MiB'],
  tables: [['processCpuUs', 'p50us', 'p99us', 'rps', 'memoryMiB']],
}

if (isMain(import.meta.url)) await run(experiment)
