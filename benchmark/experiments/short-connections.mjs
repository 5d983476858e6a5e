// What a short connection costs at its end.
//
//   node benchmark/experiments/short-connections.mjs [--rounds N] [--seconds N] [--load L]
//
// Asked: at the end of a connection there is a `shutdown`, so that the peer learns of it although
// the descriptor may have a duplicate; the socket is taken out of the selector by hand; and if the
// peer has reset it, there is an error of the operating system. What does each of these cost?
//
// Found: CPU of the process in µs a connection that its peer resets, median and range of 3 rounds
// of 1 s. Measured on a virtual machine with 2 cores (AMD EPYC, Linux 6.18, Node 20.20), which
// others share.
//
//                                   short:100x1KiB
//   errors made at once             35.6 (34.7–38.0)
//   errors made when asked for      31.8 (31.2–31.9)
//
// and, with errors made at once,
//
//   not taken out of the selector   34.8 (34.7–35.0)
//   closed and nothing else         34.8 (34.5–35.7)
//
// An Error with its stack and the search for its name took a ninth of a connection's time, and
// nobody had asked for it. The other two cost 3 %.
//
// Decided: errors are made when somebody asks for the reason. The call that takes a socket out of
// the selector and the `shutdown` stay: they are what makes a duplicate of the descriptor harmless.
import { isMain } from '../../scripts/setup.mjs'
import { run } from './runner.mjs'

export const experiment = {
  name: 'short-connections',
  variants: {
    shipped: {},
    'not taken out of the selector': { patches: ['no-deregister'] },
    'errors made at once': { patches: ['errors-at-once'] },
    'closed and nothing else': { patches: ['close-alone'] },
  },
  loads: ['short:100x1KiB'],
}

if (isMain(import.meta.url)) await run(experiment)
