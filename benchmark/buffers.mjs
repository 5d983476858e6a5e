// npm run bench:buffers: what single calls on buffers cost, beside Buffers alone and the package
// bl. The calls are in buffer-calls/.
//
// A candidate is `prepare`, which makes or fills what is worked on and is never timed, and `run`,
// which is and makes `count` calls. Filling is left out for all alike: it stands for bytes that
// have just arrived. What `run` returns is made from every result and has to be `expected`: this
// tells whether it is right, and leaves no result that the compiler could find unused.
import { setImmediate } from 'node:timers/promises'

import { runScript, setup } from '../scripts/setup.mjs'
import { describeMachine } from './machine.mjs'
import { readOptions } from './options.mjs'
import { clearProgress, showPhase } from './progress.mjs'
import { median } from './statistics.mjs'
import { align, withSpread } from './table.mjs'

const purpose =
  'Measures calls on LinkBuffers beside the same with Buffers alone, as one writes it for\n' +
  'speed, and with the package bl, round by round and in turn, in nanoseconds a call. Every\n' +
  'result is checked. The targets are goals; nothing fails when one is missed.'

const declarations = {
  quick: { help: 'two short rounds: whether it works, not how fast it is' },
}

await runScript(async () => {
  const { quick } = readOptions('bench:buffers', purpose, declarations)
  const [rounds, roundMs] = quick ? [2, 10] : [5, 100]
  await setup()
  // What these import may be there only now.
  const { calls } = await import('./buffer-calls/index.mjs')
  const { measure } = await import('mitata')

  for (const call of calls) {
    for (const [name, { prepare, run }] of Object.entries(call.candidates)) {
      check(call, name, run(prepare()))
    }
  }
  console.log(`\n${describeMachine()}`)
  console.log(`${rounds} rounds of ${roundMs} ms each: median (min–max) of their means\n`)
  const rows = []
  for (const call of calls) {
    const results = await measureInTurn(measure, call, rounds, roundMs)
    rows.push(toRow(call, results))
  }
  clearProgress()
  const titles = ['nodepoll', 'Buffer', 'bl', 'Buffer / nodepoll', 'bl / nodepoll', 'target']
  console.log(align([['ns a call', ...titles], ...rows]))
})

/** Nanoseconds a call of each candidate, round by round. */
async function measureInTurn(measure, call, rounds, roundMs) {
  const results = { nodepoll: [], Buffer: [], bl: [] }
  for (let round = 1; round <= rounds; round += 1) {
    showPhase(`${call.name}, round ${round} of ${rounds}`)
    for (const [name, candidate] of Object.entries(call.candidates)) {
      const { avg } = await measure(toBenchmark(call, name, candidate), {
        min_cpu_time: roundMs * 1e6,
        // Never: each run makes many calls itself and gets what `prepare` has made for it alone.
        batch_threshold: -1,
        // Garbage is collected when it is due, in the time of who makes it; so it is the mean that
        // counts, and the rounds have to show what neighbours have cost.
        gc: false,
      })
      results[name].push(avg / call.count)
    }
  }
  return results
}

/** The way in which mitata is told what comes before each run and is not timed. */
function toBenchmark(call, name, { prepare, run }) {
  return function* benchmark() {
    yield {
      // With a turn of the event loop, in which released memory is given back, as in a server.
      0: async () => {
        await setImmediate()
        return prepare()
      },
      bench(prepared) {
        check(call, name, run(prepared))
      },
    }
  }
}

function check(call, name, result) {
  if (result === call.expected) return
  throw new Error(`${call.name} by ${name}: the result is ${result}, not ${call.expected}`)
}

function toRow({ name, target = '-' }, { nodepoll, Buffer, bl }) {
  const ratioOf = (others) => median(others.map((ns, round) => ns / nodepoll[round])).toFixed(2)
  const times = [nodepoll, Buffer, bl].map((all) => withSpread(all, median(all) < 100 ? 1 : 0))
  return [name, ...times, ratioOf(Buffer), ratioOf(bl), target]
}
