import { type Command, command, switchOption } from './arguments.ts'
import { type Check, checkPackage, checkSystem } from './doctor/checks.ts'
import { runSelfTests } from './doctor/self-tests.ts'
import { Output, styled } from './output.ts'

const marks: Record<Check['status'], string> = {
  good: styled('green', '✔'),
  warning: styled('yellow', '!'),
  failed: styled('red', '✘'),
  skipped: styled('dim', '–'),
}

const NAME_WIDTH = 23

export const doctor: Command = command({
  name: 'doctor',
  summary: 'see whether nodepoll works on this machine, and what limits it',
  help:
    'Looks at the machine and its limits, loads the native library, and sends bytes to and fro ' +
    'over each kind of socket. The exit code is 1 if something has failed; what is marked with ' +
    '! works, but may become a limit.',
  operands: [],
  options: { json: switchOption('print one object of JSON') },
  async run({ json }) {
    const output = new Output(json)
    const found: Record<string, Check[]> = {}
    const add = (section: string, checks: Check[]): void => {
      found[section] = checks
      output.line(`${styled('bold', section)}`)
      for (const check of checks) output.line(describe(check))
      output.line()
    }
    add('System', checkSystem())
    const loaded = await checkPackage()
    add('nodepoll', loaded)
    // Without the library none of them can begin.
    if (!loaded.some(hasFailed)) {
      const checks = await runSelfTests((name) => output.status(`self-test: ${name} …`))
      output.clearStatus()
      add('Self-test', checks)
    }
    const all = Object.values(found).flat()
    const isGood = !all.some(hasFailed)
    const warnings = all.filter(({ status }) => status === 'warning').length
    output.line(isGood ? `nodepoll works here.${hint(warnings)}` : 'nodepoll does not work here.')
    output.json({ isGood, checks: found })
    return isGood ? 0 : 1
  },
})

function hasFailed({ status }: Check): boolean {
  return status === 'failed'
}

function hint(warnings: number): string {
  if (warnings === 0) return ''
  return warnings === 1 ? ' There is one limit to think of.' : ` Mind the ${warnings} limits.`
}

function describe({ name, status, found, advice }: Check): string {
  const line = `  ${marks[status]} ${name.padEnd(NAME_WIDTH)}${found}`
  const more = advice?.split('\n').map((each) => `    ${' '.repeat(NAME_WIDTH)}${each}`) ?? []
  return [line, ...more].join('\n')
}
