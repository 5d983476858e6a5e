import test from 'ava'

import { parseCores, parsePinning, planPinning } from '../cores.mjs'

test('cores are read from lists and ranges', (t) => {
  t.deepEqual(parseCores('0-3,8,10-11'), [0, 1, 2, 3, 8, 10, 11])
  t.deepEqual(parsePinning('0-3,8/5'), { server: '0-3,8', client: '5' })
  for (const text of ['', '1', '1/', 'a/b', '1/2/3', '1-/2']) {
    t.throws(() => parsePinning(text), { message: /expected auto, none or/ }, text)
  }
})

test('nothing is pinned by itself where cores are few or cannot be chosen', (t) => {
  t.is(planPinning('auto', [0, 1, 2], true), undefined)
  t.is(planPinning('auto', [0, 1, 2, 3, 4], false), undefined)
  t.is(planPinning('none', [0, 1, 2, 3], true), undefined)
})

test('servers and load generator share no core, and one is left over', (t) => {
  t.deepEqual(planPinning('auto', [0, 1, 2, 3], true), { server: '0,1', client: '3' })
  t.deepEqual(planPinning('auto', [2, 3, 5, 6, 7, 9, 11, 12], true), {
    server: '2,3,5,6',
    client: '12',
  })
})

test('cores that were asked for are taken, or it is said that they cannot be', (t) => {
  const wanted = parsePinning('0/1')
  t.is(planPinning(wanted, [0, 1], true), wanted)
  t.throws(() => planPinning(wanted, [0, 1], false), { message: /taskset/ })
})
