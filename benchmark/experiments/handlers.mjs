// What the manner costs in which a handler is written.
//
//   node benchmark/experiments/handlers.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: an echo can hand over what has arrived, copy it through views, take it frame by frame, or
// wait for each message with promises. What does each cost?
//
// Found: CPU in µs a message, of the process and of its JavaScript thread, median and range of 3
// rounds of 1 s. Measured on a virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20),
// which others share.
//
//                             100x1KiB                              16x64Bx32
//   hands over                6.30 (6.06–6.43)   0.66 (0.54–1.34)   0.21 (0.21–0.27)
//   copies                    6.53 (6.46–6.73)   0.86 (0.79–0.88)   0.23 (0.21–0.26)
//   frame by frame            6.52 (6.49–7.37)   0.84 (0.73–1.75)   0.35 (0.35–0.36)
//   frames, asynchronously    7.48 (7.23–8.03)   1.68 (1.31–1.95)   0.80 (0.70–0.86)
//   awaits each message       7.56 (7.29–7.74)   1.45 (1.45–1.84)   0.84
//   awaits twice, in a loop   7.65 (7.35–8.08)   1.85 (1.38–2.10)   0.89 (0.89–0.90)
//
// The plain epoll loop takes 5.5 and 0.18. Promises cost 1 µs a message of 1 KiB, nearly all of it
// on the JavaScript thread: most are V8's own objects, 1,250 bytes a message and their collection.
//
// Decided: waiting reads stay promises. Who has to answer before anything else comes, handles what
// is there without them: a handler that awaits nothing is not asked to.
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
