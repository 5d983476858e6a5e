// Makes a fresh clone ready to use, and does nothing for what is ready already:
// npm packages, the native library, the TypeScript build and, on request, what benchmarks need:
// the load generator, packages of their report, and other runtimes to compare with; and the
// frameworks that the packages in packages/ are for.
//
//   node scripts/setup.mjs [--with-loadgen] [--with-report] [--with-packages]
//
// Each step is remembered in .setup/ by a hash of what it was made from.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { frameworkFolders, root } from './packages.mjs'
import { requireNode, requireRust, PlainError } from './requirements.mjs'

/** Where what is built for this repository alone is put. */
export const setupFolder = join(root, '.setup')
const executable = process.platform === 'win32' ? '.exe' : ''

/** Where the load generator is put, whatever cargo's target directory is. */
export const loadgenPath = join(setupFolder, `nodepoll-loadgen${executable}`)

/** What makes the TypeScript build. */
const builders = ['build', 'compile', 'packages'].map((name) => `scripts/${name}.mjs`)

const steps = [
  {
    name: 'npm packages',
    sources: ['package-lock.json'],
    exists: () => existsSync(join(root, 'node_modules')),
    run: () => installPackages('.'),
  },
  {
    name: 'native library',
    sources: ['Cargo.toml', 'Cargo.lock', 'crates'],
    needsRust: true,
    exists: () => listFiles('lib/native').some((path) => path.endsWith('.node')),
    run: () => execute('npm', ['run', '--silent', 'build:native']),
    // Its result is copied to dist/.
    outdates: 'TypeScript build',
  },
  {
    name: 'TypeScript build',
    sources: ['lib', 'package.json', 'tsconfig.json', 'tsconfig.build.json', ...builders],
    exists: () => existsSync(join(root, 'dist/index.cjs')),
    run: () => execute('npm', ['run', '--silent', 'build']),
  },
  {
    name: 'load generator',
    sources: ['Cargo.toml', 'Cargo.lock', 'benchmark/loadgen'],
    needsRust: true,
    option: 'withLoadgen',
    exists: () => existsSync(loadgenPath),
    run: buildLoadgen,
  },
  {
    name: 'packages of the site',
    sources: ['site/package-lock.json'],
    option: 'withSite',
    exists: () => existsSync(join(root, 'site/node_modules')),
    run: () => installPackages('site'),
  },
  {
    name: 'packages of the report',
    sources: ['benchmark/report/package-lock.json'],
    option: 'withReport',
    exists: () => existsSync(join(root, 'benchmark/report/node_modules')),
    run: () => installPackages('benchmark/report'),
  },
  ...Array.from(frameworkFolders(), ([name, folder]) => ({
    name: `packages of ${name}`,
    sources: [`packages/${name}/package-lock.json`],
    option: 'withPackages',
    exists: () => existsSync(join(folder, 'node_modules')),
    run: () => installPackages(`packages/${name}`),
  })),
  {
    name: 'rival runtimes',
    sources: ['benchmark/rivals/package-lock.json'],
    option: 'withRivals',
    exists: () => existsSync(join(root, 'benchmark/rivals/node_modules')),
    run: () => installPackages('benchmark/rivals'),
  },
]

/**
 * Runs the steps that are due; throws a `PlainError` when the machine or a step fails. `wanted`
 * are those that not everybody needs: `withLoadgen`, `withSite`, `withReport`, `withPackages`,
 * `withRivals`.
 */
export function setup(wanted = {}) {
  return runSteps(steps.filter(({ option }) => option === undefined || wanted[option]))
}

/** Brings what the packages for frameworks are built and tried with, and nothing else. */
export function setupFrameworks() {
  return runSteps(steps.filter(({ option }) => option === 'withPackages'))
}

async function runSteps(due) {
  mkdirSync(setupFolder, { recursive: true })
  let isRustChecked = false
  for (const step of due) {
    const stamp = stampOf(step.name)
    // Taken before the step runs: what is edited meanwhile counts as not yet built.
    const hash = hashOf(step.sources)
    if (step.exists() && readIfThere(stamp) === hash) continue
    if (step.needsRust && !isRustChecked) requireRust()
    isRustChecked ||= step.needsRust === true
    await report(step)
    if (step.outdates !== undefined) rmSync(stampOf(step.outdates), { force: true })
    writeFileSync(stamp, hash)
  }
}

/** Where the hash of a step's sources is kept. */
function stampOf(name) {
  return join(setupFolder, `${name.replaceAll(' ', '-')}.sha256`)
}

/**
 * Runs a script's `main` if this Node is new enough. A `PlainError` becomes its message and
 * exit code 1.
 */
export async function runScript(main) {
  try {
    requireNode()
    return await main()
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    console.error(`\n${error.message}`)
    process.exit(1)
  }
}

function installPackages(folder) {
  const options = ['--prefer-offline', '--no-audit', '--no-fund']
  return execute('npm', ['ci', ...options], join(root, folder))
}

async function buildLoadgen() {
  const output = await execute('cargo', [
    'build',
    '--release',
    '--package=nodepoll-loadgen',
    '--message-format=json-render-diagnostics',
  ])
  const built = /"executable":("(?:[^"\\]|\\.)*nodepoll-loadgen(?:\.exe)?")/.exec(output)
  if (built === null) throw new PlainError('cargo did not say where it put nodepoll-loadgen.')
  copyFileSync(JSON.parse(built[1]), loadgenPath)
}

/** One line a step: its name at once, the time it took at its end, on a terminal also between. */
async function report(step) {
  const started = performance.now()
  const elapsed = () => `${((performance.now() - started) / 1000).toFixed(1)} s`
  const label = `setup: ${step.name} `.padEnd(26, '.')
  process.stderr.write(label)
  const redraw = () => process.stderr.write(`\r${label} ${elapsed()}`)
  const ticker = process.stderr.isTTY ? setInterval(redraw, 500) : undefined
  try {
    await step.run()
    process.stderr.write(`${process.stderr.isTTY ? `\r${label}` : ''} ${elapsed()}\n`)
  } catch (error) {
    process.stderr.write(' failed\n')
    throw error
  } finally {
    clearInterval(ticker)
  }
}

/** Resolves with stdout; a failure shows all the tool has said. */
function execute(command, args, cwd = root) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      // npm is a script there, and only a shell starts scripts.
      shell: process.platform === 'win32',
    })
    let stdout = ''
    let everything = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
      everything += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => (everything += text))
    child.on('error', (error) =>
      fail(new PlainError(`\`${command}\` could not be started: ${error.message}`)),
    )
    child.on('close', (code, signal) => {
      if (code === 0) return done(stdout)
      const ending = signal === null ? `exit code ${code}` : signal
      fail(
        new PlainError(
          `${everything.trimEnd()}\n\n\`${command} ${args.join(' ')}\` failed (${ending}).`,
        ),
      )
    })
  })
}

function hashOf(sources) {
  const hash = createHash('sha256')
  for (const path of sources.flatMap(listFiles)) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0')
  }
  return hash.digest('hex')
}

/** The files at or under a path, sorted, build output left out; none if there is nothing. */
function listFiles(path) {
  const place = join(root, path)
  if (!existsSync(place)) return []
  let entries
  try {
    entries = readdirSync(place, { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path]
    throw error
  }
  return entries
    .filter(({ name }) => name !== 'target' && name !== 'node_modules')
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) =>
      entry.isDirectory() ? listFiles(`${path}/${entry.name}`) : [`${path}/${entry.name}`],
    )
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** Whether a script was started by itself, and is not imported by another. */
export function isMain(url) {
  return process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(url)
}

if (isMain(import.meta.url)) {
  const flags = new Set(process.argv)
  await runScript(() =>
    setup({
      withLoadgen: flags.has('--with-loadgen'),
      withReport: flags.has('--with-report'),
      withPackages: flags.has('--with-packages'),
    }),
  )
}
