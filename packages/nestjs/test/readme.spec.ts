import test from 'ava'

import { runExamples, runSample, undocumented } from '../../testing/readme.ts'

// Elsewhere a signal kills without giving the program the chance to end well.
const onPosix = process.platform === 'win32' ? test.skip : test

test('the examples of the README type-check, run, and print what it says', async (t) => {
  // Injected parameters are written as users of Nest write them.
  await runExamples(t, { erasableSyntaxOnly: false })
})

onPosix('the sample runs by the commands of the README, and prints what it says', async (t) => {
  await runSample(t)
})

test('each code of an error stands in the README, and so does each option', (t) => {
  t.deepEqual(undocumented(), [])
})
