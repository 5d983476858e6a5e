// Who is compared with whom, and who is there: each is asked for its version and for the path of
// its program, because what is found may be a script that starts it, with a CPU time of its own.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { PlainError } from '../scripts/requirements.mjs'
import { setupFolder } from '../scripts/setup.mjs'
import { serverPath } from './measure.mjs'

const run = promisify(execFile)

const rivalsFolder = fileURLToPath(new URL('rivals/', import.meta.url))
const goFolder = serverPath('go-netpoll')
const packagePath = fileURLToPath(new URL('../package.json', import.meta.url))

/** For what has to be fetched first; without a network that may never end. */
const BUILD_TIMEOUT_MS = 180_000

/** Whom the others are compared with, if it is measured. */
export const BASELINE = 'node:net'

/** In the order of tables and charts. `find` resolves with what `measure` wants, or rejects. */
const candidates = [
  { name: BASELINE, find: () => onNode('node-net', `Node ${process.versions.node}`) },
  { name: 'node:net onread', find: () => onNode('node-onread', `Node ${process.versions.node}`) },
  { name: 'Bun', find: findBun },
  { name: 'Deno', find: findDeno },
  { name: 'Go netpoll', find: findGo },
  { name: 'nodepoll', find: () => onNode('nodepoll', nodepollVersion()) },
]

/** What rivals/package.json brings. */
const installable = new Set(['bun', 'deno'])

/** For `read` of an option: a name without regard to case, blanks as hyphens. */
export function parseRival(text) {
  const found = candidates.find(({ name }) => toOption(name) === text.toLowerCase())
  if (found !== undefined) return found.name
  const names = candidates.map(({ name }) => toOption(name)).join(', ')
  throw new PlainError(`'${text}' is none of ${names}`)
}

/**
 * `{ rivals, leftOut }`: who can be measured, and `{ name, reason }` of the others. Those that
 * `wanted` names have to be there; without it all are wanted that are.
 */
export async function findRivals(wanted) {
  const rivals = []
  const leftOut = []
  for (const { name, find } of candidates) {
    if (wanted !== undefined && !wanted.includes(name)) continue
    try {
      rivals.push({ name, ...(await find()) })
    } catch (error) {
      leftOut.push({ name, reason: reasonOf(error) })
    }
  }
  if (wanted !== undefined && leftOut.length > 0) {
    throw new PlainError(leftOut.map(({ name, reason }) => `${name}: ${reason}`).join('\n'))
  }
  return { rivals, leftOut }
}

function onNode(file, version) {
  return { version, isNode: true, command: commandOf([process.execPath], file) }
}

/** The command line of a program in servers/, for either protocol. */
function commandOf(runtime, file) {
  return (protocol) => [
    ...runtime,
    serverPath(protocol === 'rpc' ? `${file}-rpc.mjs` : `${file}.mjs`),
  ]
}

async function findBun() {
  const script = 'console.log(Bun.version); console.log(process.execPath)'
  const [version, path] = await ask(locate('bun'), ['--eval', script])
  return { version: `Bun ${version}`, command: commandOf([path, 'run'], 'bun') }
}

async function findDeno() {
  const script = 'console.log(Deno.version.deno); console.log(Deno.execPath())'
  const [version, path] = await ask(locate('deno'), ['eval', script])
  return {
    version: `Deno ${version}`,
    command: commandOf([path, 'run', '--quiet', '--allow-net'], 'deno'),
  }
}

async function findGo() {
  const [line] = await ask('go', ['version'])
  const [, go] = /go(\d[\w.]*)/.exec(line)
  const [, netpoll] = /cloudwego\/netpoll v(\S+)/.exec(readFileSync(`${goFolder}/go.mod`, 'utf8'))
  const path = join(setupFolder, 'go-netpoll')
  // With the Go that is here, and no other that it might bring.
  const env = { ...process.env, GOTOOLCHAIN: 'local' }
  await run('go', ['build', '-o', path, '.'], { cwd: goFolder, env, timeout: BUILD_TIMEOUT_MS })
  return {
    version: `netpoll ${netpoll}, Go ${go}`,
    hasJavaScript: false,
    command: (protocol) => [path, ...(protocol === 'rpc' ? ['-rpc'] : [])],
  }
}

/** The lines that a program prints. */
async function ask(program, args) {
  const { stdout } = await run(program, args, { env: { ...process.env, NO_COLOR: '1' } })
  return stdout.trim().split(/\r?\n/)
}

/** What was installed here, or else what is on the PATH. */
function locate(program) {
  const path = join(rivalsFolder, 'node_modules', '.bin', program)
  return existsSync(path) ? path : program
}

function reasonOf(error) {
  if (error.killed) return `it took more than ${BUILD_TIMEOUT_MS / 1000} s to build`
  if (error.code === 'ENOENT') {
    const help = installable.has(error.path) ? ', but --install-rivals does it' : ''
    return `\`${error.path}\` is not installed${help}`
  }
  const lines = (error.stderr ?? '').trim().split('\n')
  return lines.at(-1) || error.message
}

function nodepollVersion() {
  const { version } = JSON.parse(readFileSync(packagePath, 'utf8'))
  return `nodepoll ${version}, Node ${process.versions.node}`
}

function toOption(name) {
  return name.toLowerCase().replaceAll(' ', '-')
}
