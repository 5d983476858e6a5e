// npm run bench:rpc: calls multiplexed over few connections, with nodepoll/rpc, with the same
// written on node:net, and with Go's netpoll. Server and callers are processes of their own.
import { runScript, setup } from '../scripts/setup.mjs'
import { describeMachine } from './machine.mjs'
import { integer, oneOf, readOptions } from './options.mjs'
import { comparePairs, pairDeclarations } from './pairs.mjs'
import { findPairs, rpcContests } from './rpc/pairs.mjs'

const names = Object.keys(rpcContests)

const declarations = {
  table: {
    value: 'NAME',
    default: names,
    multiple: true,
    read: oneOf(names),
    help: `one of ${names.join(', ')}; may be repeated`,
  },
  callers: { value: 'N', default: 100, read: integer(1, 60_000), help: 'each with one call' },
  connections: { value: 'N', default: 4, read: integer(1, 1000), help: 'that they share' },
  size: { value: 'BYTES', default: 1024, read: integer(4, 1 << 20), help: 'of a request' },
  ...pairDeclarations,
}

await runScript(async () => {
  const options = readOptions('bench:rpc', 'Compares calls over few connections.', declarations)
  await setup()
  const { callers, connections, rounds, seconds, size, table } = options
  console.log(`
${callers} callers over ${connections} connections, ${size} bytes, ${rounds} rounds of ${seconds} s.
${describeMachine()}
`)
  for (const name of table) {
    const contest = rpcContests[name]
    const pairs = await findPairs(contest, options, console.log)
    await comparePairs(contest.title, pairs, rounds)
  }
})
