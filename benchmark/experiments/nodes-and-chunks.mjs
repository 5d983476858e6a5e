// Sizes of nodes and chunks.
//
//   node benchmark/experiments/nodes-and-chunks.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
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
