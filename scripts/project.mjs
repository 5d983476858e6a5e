// A project outside of the repository, with nodepoll installed from its tarballs: what somebody has
// who knows npm, and nothing of Rust or of this repository.
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

import { npm } from './pack.mjs'
import { readManifest, root } from './packages.mjs'
import { PlainError } from './requirements.mjs'

/** A program that takes longer hangs. */
const DEADLINE_MS = 60_000

/** Makes a project, empty but for the packages; `remove` it in the end. */
export function makeProject(packages) {
  const project = emptyProject()
  install(project, packages)
  return project
}

/**
 * Makes a project that has packages `names` already, out of a folder `modules` with them and all
 * that they need, and adds ours. Offline npm cannot look for peers, so that it does not: whether
 * they are there is to be asked of `npm ls`.
 */
export function makeProjectOver({ names, modules }, packages) {
  const versionOf = (name) => readManifest(join(modules, name)).version
  const dependencies = Object.fromEntries(names.map((name) => [name, versionOf(name)]))
  const project = emptyProject({ dependencies })
  // Neither npm's notes of what is there nor the link to this repository.
  const left = ['nodepoll', '.package-lock.json'].map((name) => join(modules, name))
  const filter = (path) => !left.includes(path)
  const target = join(project.folder, 'node_modules')
  cpSync(modules, target, { recursive: true, verbatimSymlinks: true, filter })
  install(project, packages, ['--legacy-peer-deps'])
  return project
}

function emptyProject(more = {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nodepoll-project-')))
  const manifest = { name: 'project', private: true, type: 'module', ...more }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  return { folder, env: environmentOf(folder), remove: () => remove(folder) }
}

function install(project, packages, options = []) {
  const tarballs = packages.map(({ tarball }) => tarball)
  const args = ['install', '--no-audit', '--no-fund', ...options, ...tarballs]
  const { status, stderr, error } = npm(args, project.folder, project.env)
  if (status === 0) return
  project.remove()
  throw new PlainError(`npm install failed:\n${error?.message ?? stderr}`)
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

/** What npm says to a command; a failure is thrown with it. */
export function runNpm({ folder, env }, args) {
  const { status, stdout, stderr } = npm(args, folder, env)
  if (status !== 0) throw new Error(stderr)
  return stdout
}

/** Runs a program of the project to its end; a failure is thrown with what it has said. */
export function run({ folder, env, deadlineMs = DEADLINE_MS }, command, args, expectedCode = 0) {
  const result = spawnSync(command, args, {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: deadlineMs,
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
