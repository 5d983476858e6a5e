import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { formatNumber } from '../output.ts'
import type { Check } from './checks.ts'
import type { Outcome } from './self-test.ts'

const run = promisify(execFile)

const DEADLINE_MS = 60_000

/** Each host with each kind of socket that the platform has. */
const selfTests: readonly { host: string; place: string; name: string }[] = [
  { host: 'thread', place: '127.0.0.1', name: 'TCP, thread' },
  { host: 'thread', place: '::1', name: 'TCP over IPv6, thread' },
  { host: 'thread', place: 'unix', name: 'unix socket, thread' },
  { host: 'inline', place: '127.0.0.1', name: 'TCP, inline' },
  { host: 'inline', place: 'unix', name: 'unix socket, inline' },
].filter(({ place }) => place !== 'unix' || process.platform !== 'win32')

/** Sends bytes to and fro, each time in a process of its own: whatever happens, we hear of it. */
export async function runSelfTests(onStart: (name: string) => void): Promise<Check[]> {
  const checks: Check[] = []
  for (const { host, place, name } of selfTests) {
    onStart(name)
    checks.push(await runSelfTest(name, host, place))
  }
  return checks
}

async function runSelfTest(name: string, host: string, place: string): Promise<Check> {
  const file = new URL(`self-test${extname(import.meta.url)}`, import.meta.url)
  const options = { timeout: DEADLINE_MS, killSignal: 'SIGKILL' } as const
  try {
    const { stdout } = await run(process.execPath, [fileURLToPath(file), host, place], options)
    const outcome = JSON.parse(stdout) as Outcome
    if ('missing' in outcome) return { name, status: 'skipped', found: outcome.missing }
    return { name, status: 'good', found: `4 MiB unchanged in ${formatNumber(outcome.ms)} ms` }
  } catch (error) {
    return {
      name,
      status: 'failed',
      found: describe(error as Failed),
      advice:
        'Does a sandbox or a firewall forbid sockets on this machine? If not, please report ' +
        'this, with all that `nodepoll doctor` says.',
    }
  }
}

interface Failed extends Error {
  readonly killed?: boolean
  readonly signal?: string
  readonly stderr?: string
}

function describe({ killed, signal, stderr = '', message }: Failed): string {
  if (killed) return `has not ended within ${DEADLINE_MS / 1000} s`
  if (signal) return `was ended by ${signal}`
  return /^(?:\w*Error(?: \[\w+\])?: .*)$/m.exec(stderr)?.[0] ?? message
}
