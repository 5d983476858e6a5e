import test from 'ava'

import { contests } from '../frameworks/contests.mjs'
import { measurePairs, renderPairs } from '../pairs.mjs'
import { findPairs, rpcContests } from '../rpc/pairs.mjs'

const load = { connections: 4, callers: 8, size: 64, warmup: 0, seconds: 0.2 }

/** One short round of those on Node: Go has to be fetched and built first. */
async function measureOnce(t, pairs) {
  const onNode = pairs.filter(({ name }) => !name.startsWith('Go'))
  const results = await measurePairs(onNode, 1)
  t.true(results.size > 1)
  for (const [name, [round]] of results) {
    t.true(round.calls > 0, name)
    t.true(round.callsPerSecond > 0, name)
    if (process.platform !== 'linux') continue
    t.true(round.serverUs > 0, name)
    t.true(round.callersUs > 0, name)
  }
  return results
}

for (const [name, { find, title, ...how }] of Object.entries(contests)) {
  if (name === 'rpc') continue
  test.serial(`the contest ${name} has both sides answered, and a table`, async (t) => {
    const results = await measureOnce(t, await find(load))
    t.deepEqual([...results.keys()], ['node:net', 'nodepoll'])
    const [head, , first, second] = renderPairs(title, results, how).split('\n')
    t.regex(head, new RegExp(`^  ${title} +${how.unit}s/s .* ${how.unit}s/s, ×`))
    t.regex(first, /^ {2}node:net .* 1\.00$/)
    t.regex(second, /^ {2}nodepoll .*\d$/)
  })
}

for (const name of Object.keys(rpcContests)) {
  test.serial(`the calls of the table '${name}' are answered`, async (t) => {
    const contest = rpcContests[name]
    const onNode = contest.pairs.filter((pair) => !pair.name.startsWith('Go'))
    await measureOnce(t, await findPairs({ ...contest, pairs: onNode }, load, t.fail))
  })
}

test('callers who find another server fail, and say which pair it was', async (t) => {
  const [http] = await contests.http.find(load)
  const [grpc] = await contests.grpc.find(load)
  const pair = { ...http, name: 'a mistake', callers: grpc.callers }
  await t.throwsAsync(measurePairs([pair], 1), { message: /^a mistake: the callers ended with/ })
})
