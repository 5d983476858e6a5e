import test from 'ava'

import * as results from '../results.mjs'

function resultsOf(rounds, facts = {}) {
  const all = results.newResults({
    machine: { cpu: 'a CPU' },
    seconds: 1,
    rivals: [],
    leftOut: [],
    ...facts,
  })
  for (const [rival, round] of rounds) {
    results.addRound(all, { scenario: 'long', load: 'rpc:1x1B', rival, round })
  }
  return all
}

test('rounds are kept by scenario, load and server, with few digits', (t) => {
  const all = resultsOf([
    ['a', { rps: 1.23456 }],
    ['b', { rps: 2 }],
    ['a', { rps: 3 }],
  ])
  results.addRound(all, { scenario: 'long', load: 'rpc:2x1B', rival: 'a', round: { rps: 4 } })
  t.deepEqual(all.measured, [
    {
      scenario: 'long',
      load: 'rpc:1x1B',
      results: { a: [{ rps: 1.235 }, { rps: 3 }], b: [{ rps: 2 }] },
    },
    { scenario: 'long', load: 'rpc:2x1B', results: { a: [{ rps: 4 }] } },
  ])
})

test('results that were measured in parts become one, round after round', (t) => {
  const first = resultsOf([['a', { rps: 1 }]], { rivals: [{ name: 'a', version: '1' }] })
  const second = resultsOf(
    [
      ['a', { rps: 2 }],
      ['b', { error: 'it fell' }],
    ],
    {
      rivals: [
        { name: 'a', version: '1' },
        { name: 'b', version: '2' },
      ],
    },
  )
  const merged = results.mergeResults([first, second])
  t.deepEqual(merged.measured[0].results, {
    a: [{ rps: 1 }, { rps: 2 }],
    b: [{ error: 'it fell' }],
  })
  t.deepEqual(
    merged.rivals.map(({ name }) => name),
    ['a', 'b'],
  )
  t.is(first.measured[0].results.a.length, 1)
  t.deepEqual(results.failuresOf(merged), ['it fell'])
  t.deepEqual(results.roundsOf(merged), { median: 1.5, min: 1, max: 2 })
})

test('results of different machines or times do not become one', (t) => {
  const other = resultsOf([], { machine: { cpu: 'another CPU' } })
  t.throws(() => results.mergeResults([resultsOf([]), other]), { message: /machine differs/ })
  const longer = resultsOf([], { seconds: 2 })
  t.throws(() => results.mergeResults([resultsOf([]), longer]), { message: /seconds differs/ })
})

test('what others took of the machine is told over all rounds', (t) => {
  const all = resultsOf([
    ['a', { stealShare: 0.1 }],
    ['a', { stealShare: 0.3 }],
    ['b', { error: 'it fell' }],
  ])
  t.deepEqual(results.stealOf(all), { median: 0.2, min: 0.1, max: 0.3 })
  t.is(results.stealOf(resultsOf([['a', { rps: 1 }]])), undefined)
})

test('others are compared with node:net, or with the first where it is not', (t) => {
  t.is(results.baselineOf({ a: [], 'node:net': [] }), 'node:net')
  t.is(results.baselineOf({ a: [], b: [] }), 'a')
})
