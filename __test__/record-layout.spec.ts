import test from 'ava'

import { nativeRecordLayout } from '../lib/native/index.ts'
import * as record from '../lib/native/record.ts'

test('H69: records have the same layout on both sides, name by name and value by value', (t) => {
  const typescript = { ...record } as Record<string, number>
  const native = nativeRecordLayout()
  t.deepEqual(Object.keys(native).toSorted(), Object.keys(typescript).toSorted())
  t.deepEqual(native, typescript)
})

test('H69: no two events, and no two commands, have the same number', (t) => {
  for (const prefix of ['EVENT_', 'COMMAND_', 'REASON_', 'SYSCALL_', 'LANE_COMMAND_']) {
    const entries = Object.entries(nativeRecordLayout()).filter(([name]) => name.startsWith(prefix))
    t.is(new Set(entries.map(([, value]) => value)).size, entries.length, prefix)
  }
})
