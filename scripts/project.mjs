// An empty project outside of the repository, with nodepoll installed from its tarballs: what
// somebody has who knows npm, and nothing of Rust or of this repository.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

import { npm, root } from './pack.mjs'
import { PlainError } from './requirements.mjs'

/** A program that takes longer hangs. */
const DEADLINE_MS = 60_000

/** Makes a project; `remove` it in the end. */
export function makeProject(packages) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nodepoll-project-')))
  const project = { folder, env: environmentOf(folder), remove: () => remove(folder) }
  const manifest = { name: 'project', private: true, type: 'module' }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  const tarballs = packages.map(({ tarball }) => tarball)
  const result = npm(['install', '--no-audit', '--no-fund', ...tarballs], folder, project.env)
  if (result.status === 0) return project
  project.remove()
  throw new PlainError(`npm install failed:\n${result.stderr}`)
}

/** Node alone on the path, npm offline and with an empty cache, nothing that npm has set. */
function environmentOf(folder) {
  const npmSettings = { npm_config_offline: 'true', npm_config_cache: join(folder, '.npm') }
  if (process.platform === 'win32') {
    // Links are a privilege there, and programs do not start without the others.
    const { SystemRoot, TEMP } = process.env
    return {
      PATH: dirname(process.execPath),
      SystemRoot,
      TEMP,
      USERPROFILE: folder,
      ...npmSettings,
    }
  }
  const bin = join(folder, '.bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, join(bin, 'node'))
  return { PATH: bin, HOME: folder, ...npmSettings }
}

function remove(folder) {
  rmSync(folder, { recursive: true, force: true })
}

/** Puts Node's types into the project, from this repository: they are not what is tried. */
export function addNodeTypes({ folder }) {
  for (const name of ['@types/node', 'undici-types']) {
    cpSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), {
      recursive: true,
    })
  }
}

/** Runs a program of the project to its end; a failure is thrown with what it has said. */
export function run({ folder, env }, command, args, expectedCode = 0) {
  const result = spawnSync(command, args, {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  })
  if (result.error) throw result.error
  if (result.status === expectedCode) return result.stdout
  throw new Error(
    `${command} ${args.join(' ')} ended with ${result.status ?? result.signal}\n` +
      `${result.stdout}${result.stderr}`,
  )
}

/** Starts a program that goes on running. Resolves with its first line, and how to end it. */
export async function start({ folder, env }, args) {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const stop = () => child.kill('SIGKILL')
  try {
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`${args.join(' ')} ended with ${code} before it said anything`)
    })
    const lines = once(createInterface(child.stdout), 'line', { signal })
    const [line] = await Promise.race([lines, ended])
    ended.catch(() => {})
    return { line, stop }
  } catch (error) {
    stop()
    throw error
  }
}
