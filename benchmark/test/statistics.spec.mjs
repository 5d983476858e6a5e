import test from 'ava'

import { formatSpread } from '../metrics.mjs'
import { median, spreadOf, summarize } from '../statistics.mjs'

test('the median is the middle one, or between the two in the middle', (t) => {
  t.is(median([9, 1, 10]), 9)
  t.is(median([1, 10, 2, 100]), 6)
})

test('a spread has the median, the least and the most', (t) => {
  t.deepEqual(spreadOf([3, 1, 8]), { median: 3, min: 1, max: 8 })
  t.is(spreadOf([]), undefined)
  t.is(spreadOf([1, undefined]), undefined)
  t.is(spreadOf([1, NaN]), undefined)
})

test('ratios are taken round by round, not of medians', (t) => {
  const slowing = [{ rps: 100 }, { rps: 10 }, { rps: 50 }]
  const twice = [{ rps: 200 }, { rps: 30 }, { rps: 100 }]
  t.deepEqual(summarize(twice, slowing, 'rps'), {
    median: 100,
    min: 30,
    max: 200,
    ratio: { median: 2, min: 2, max: 3 },
  })
})

test('a failed round counts neither by itself nor in a ratio', (t) => {
  const base = [{ rps: 100 }, { error: 'it fell' }, { rps: 300 }, { rps: 100 }]
  const other = [{ rps: 50 }, { rps: 60 }, { error: 'it fell' }, { rps: 70 }]
  const { min, max, ratio } = summarize(other, base, 'rps')
  t.deepEqual([min, max], [50, 70])
  t.deepEqual(ratio, { median: 0.6, min: 0.5, max: 0.7 })
  t.is(summarize([{ error: 'it fell' }], base, 'rps').median, undefined)
})

test('what a server does not have is a dash', (t) => {
  t.is(formatSpread(summarize([{ rps: 1 }], [], 'mainCpuUs'), 2), '-')
  t.is(formatSpread({ median: 1234.56, min: 1000, max: 2000 }, 1), '1,234.6 (1,000.0–2,000.0)')
  t.is(formatSpread({ median: 5, min: 5, max: 5 }, 0), '5')
})
