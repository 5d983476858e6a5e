// What the manner costs in which a handler is written.
//
//   node benchmark/experiments/handlers.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: an echo can hand over what has arrived, copy it through views, take it frame by frame, or
// wait for each message with promises. What does each cost?
//
// Found: CPU in µs a message, of the process and of its JavaScript thread, median and range of
// XX
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

const handledBy = (handler) => ({ settings: { handler } })

export const experiment = {
  name: 'handlers',
  variants: {
    'hands over': handledBy('append'),
    copies: handledBy('copy'),
    'frame by frame': handledBy('frames'),
    'frames, asynchronously': handledBy('slowFrames'),
    'awaits each message': handledBy('next'),
    'awaits twice, in a loop': handledBy('loop'),
  },
  loads: ['100x1KiB', '16x64Bx32'],
}

if (isMain(import.meta.url)) await run(experiment)
