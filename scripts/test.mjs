// Runs the checks of this repository one after the other, all of them even if one fails, and
// ends with one line that sums them up: `N passed, N failed`.
//
//   node scripts/test.mjs          what `npm test` does: setup, Rust tests, also under injected
//                                  faults, JavaScript tests
//   node scripts/test.mjs --all    all the steps below
//
// With CI=true, real servers that are not there are brought first: elsewhere tests without theirs
// are skipped.
//
// What a step runs is written in package.json. A step that fails without naming a failed test
// counts as one failure.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const steps = [
  ['test:rust'],
  ['test:faults'],
  ['test:node'],
  ['contract'],
  ['check:ts'],
  ['check:rust'],
  ['check:targets'],
  ['test:loom'],
  ['test:poll'],
  ['test:asan'],
  ['doc'],
  ['test:user'],
  ['test:runtimes'],
  ['release:check'],
  ['docs:build'],
  ['demo', '--', '--seconds', '2'],
  ['soak', '--', '--minutes', '1'],
  ['test:report'],
  ['test:packages'],
  ['bench', '--', '--quick'],
  ['bench:check'],
]
const defaultStepCount = 3

const cargoResult = /^test result: \w+\. (\d+) passed; (\d+) failed;/
const avaPassed = /^\s*(\d+) tests? passed$/
const avaFailed =
  /^\s*(\d+) (?:(?:tests?|hooks?) failed|uncaught exceptions?|unhandled rejections?)$/

const started = Date.now()
const total = { passed: 0, failed: 0 }

const unknown = process.argv.slice(2).find((argument) => argument !== '--all')
if (unknown !== undefined) {
  console.error(`Unknown option '${unknown}': there is only --all.`)
  process.exit(2)
}
const isAll = process.argv.includes('--all')

printHeader('setup')
const setup = fileURLToPath(new URL('setup.mjs', import.meta.url))
const options = isAll ? ['--with-loadgen', '--with-report', '--with-packages'] : []
const setupCode = await run(process.execPath, [setup, ...options])
if (setupCode === 0) {
  if (process.env.CI) await runStep(['servers'])
  for (const step of isAll ? steps : steps.slice(0, defaultStepCount)) await runStep(step)
} else {
  total.failed += 1
}
console.log(`\n${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1

async function runStep(step) {
  printHeader(step.join(' '))
  const counts = { passed: 0, failed: 0 }
  const code = await run('npm', ['run', '--silent', ...step], (line) => {
    const cargo = cargoResult.exec(line) ?? []
    counts.passed += Number(cargo[1] ?? avaPassed.exec(line)?.[1] ?? 0)
    counts.failed += Number(cargo[2] ?? avaFailed.exec(line)?.[1] ?? 0)
  })
  if (code !== 0 && counts.failed === 0) counts.failed = 1
  if (counts.failed > 0) console.log(`\n${step[0]} failed`)
  total.passed += counts.passed
  total.failed += counts.failed
}

/** Resolves with the exit code; shows the output as it comes and hands stdout's lines on. */
function run(command, args, onLine = () => {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
      // npm is a script there, and only a shell starts scripts.
      shell: process.platform === 'win32' && command === 'npm',
    })
    child.stdout.pipe(process.stdout, { end: false })
    createInterface({ input: child.stdout }).on('line', onLine)
    child.on('error', fail)
    child.on('close', (code) => done(code ?? 1))
  })
}

function printHeader(title) {
  const seconds = Math.round((Date.now() - started) / 1000)
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 60 - title.length))} ${clock}`)
}
