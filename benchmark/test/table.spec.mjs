import test from 'ava'

import { renderTables } from '../table.mjs'

test('a table has medians with their spread, and ratios to the baseline', (t) => {
  const results = {
    'node:net': [
      { rps: 1000, p50us: 30 },
      { rps: 2000, p50us: 20 },
    ],
    other: [
      { rps: 2000, p50us: 10 },
      { rps: 4000, p50us: 10 },
    ],
    fallen: [{ error: 'it fell' }, { error: 'it fell' }],
  }
  t.is(
    renderTables('a load', results, [['rps'], ['p50us']], 'node:net'),
    `\
  a load              requests/s      ×
  ─────────────────────────────────────
  node:net   1,500 (1,000–2,000)   1.00
  other      3,000 (2,000–4,000)   2.00
  fallen                  failed

                p50, µs
  ─────────────────────
  node:net   25 (20–30)
  other              10
  fallen         failed`,
  )
})
