// npm run bench:frameworks: http, gRPC, Redis clients and calls over nodepoll, beside the same over
// node:net. Server and callers are processes of their own, and every reply is compared.
import { runScript, setup } from '../scripts/setup.mjs'
import { contests } from './frameworks/contests.mjs'
import { describeMachine } from './machine.mjs'
import { integer, oneOf, readOptions } from './options.mjs'
import { comparePairs, pairDeclarations } from './pairs.mjs'

const names = Object.keys(contests)

const declarations = {
  contest: {
    value: 'NAME',
    default: names,
    multiple: true,
    read: oneOf(names),
    help: `one of ${names.join(', ')}; may be repeated`,
  },
  connections: { value: 'N', default: 50, read: integer(1, 10_000), help: 'of clients of http' },
  callers: { value: 'N', default: 100, read: integer(1, 60_000), help: 'each with one call' },
  ...pairDeclarations,
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
    await comparePairs(title, pairs, options.rounds, how)
  }
})
