// Direct send or hand-over.
//
//   node benchmark/experiments/direct-send.mjs [--rounds N] [--seconds N] [--load L]
//
// ASKED
//
// FOUND
//
// DECIDED
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
