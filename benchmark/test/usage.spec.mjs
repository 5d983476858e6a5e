import { existsSync } from 'node:fs'

import test from 'ava'

import { Schedule } from '../progress.mjs'
import { readUsage, stealShare } from '../usage.mjs'

const testOnLinux = existsSync('/proc/self/schedstat') ? test : test.skip

testOnLinux(
  'the CPU time of a busy thread is counted, of a process that is gone there is none',
  (t) => {
    const before = readUsage(process.pid)
    const until = performance.now() + 30
    while (performance.now() < until);
    const after = readUsage(process.pid)
    t.true(after.mainNs > before.mainNs)
    t.true(after.processNs - before.processNs >= after.mainNs - before.mainNs)
    t.true(after.memoryBytes > 1024 * 1024)
    t.is(readUsage(2 ** 30), undefined)
  },
)

test('what others had of the machine is a share of all of its time', (t) => {
  const before = { machine: { steal: 10, total: 100 } }
  t.is(stealShare(before, { machine: { steal: 30, total: 300 } }), 0.1)
  t.is(stealShare(before, before), 0)
})

test('what is left to do is told once one of it is done', (t) => {
  const schedule = new Schedule(3)
  t.is(schedule.next(), '[1/3]')
  t.regex(schedule.next(), /^\[2\/3, about \d+ s left\]$/)
})
