// npm run bench:frameworks: http, gRPC, Redis clients and calls over nodepoll, beside the same over
// node:net. Server and callers are processes of their own, and every reply is compared.
import { PlainError } from '../scripts/requirements.mjs'
import { runScript, setup } from '../scripts/setup.mjs'
import { contests } from './frameworks/contests.mjs'
import { describeMachine } from './machine.mjs'
import { integer, number, readOptions } from './options.mjs'
import { measurePairs, renderPairs } from './pairs.mjs'
import { clearProgress } from './progress.mjs'

const names = Object.keys(contests)

const declarations = {
  contest: {
    value: 'NAME',
    default: names,
    multiple: true,
    read: readContest,
    help: `one of ${names.join(', ')}; may be repeated`,
  },
  connections: { value: 'N', default: 50, read: integer(1, 10_000), help: 'of clients of http' },
  callers: { value: 'N', default: 100, read: integer(1, 60_000), help: 'each with one call' },
  seconds: { value: 'N', default: 2, read: number(0.2, 60), help: 'how long each run takes' },
  warmup: { value: 'N', default: 1, read: number(0, 60), help: 'seconds before that' },
  rounds: { value: 'N', default: 5, read: integer(1, 100), help: 'how often each is measured' },
}

function readContest(name) {
  if (names.includes(name)) return name
  throw new PlainError(`'${name}' is none of ${names.join(', ')}`)
}

await runScript(async () => {
  const purpose = 'Compares what runs on sockets, over nodepoll and over node:net.'
  const options = readOptions('bench:frameworks', purpose, declarations)
  await setup()
  console.log(`
${options.rounds} rounds of ${options.seconds} s. ${describeMachine()}
`)
  for (const name of options.contest) {
    const { title, find, ...how } = contests[name]
    const pairs = await find(options, console.log)
    const results = await measurePairs(pairs, options.rounds, `${title}, `)
    clearProgress()
    console.log(`${renderPairs(title, results, how)}\n`)
  }
})
