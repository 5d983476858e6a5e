// npm run test:runtimes: a round through the public API on every runtime that is supported, where
// npm run test:runtimes: a round through the public API on every runtime that is supported, where
// nodepoll is installed as a package; on every Node the test of memory that nobody may take away,
// which depends on the engine, and those of sockets beside and instead of node:net's, which depend
// on Node's streams; and on the oldest and the newest Node those of the packages for frameworks.
//
// The runtimes are npm packages and come with npm, into a folder that is gone afterwards.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Checks } from './checks.mjs'
import { npm, pack } from './pack.mjs'
import { frameworkFolders, root } from './packages.mjs'
import { makeProject, run } from './project.mjs'
import { PlainError } from './requirements.mjs'
import { runScript } from './setup.mjs'

const node = (version) => ({
  name: `Node ${version}`,
  source: `node-linux-${process.arch}@${version}`,
  executable: 'bin/node',
  args: [],
  isNode: true,
})

/** The oldest Nodes that package.json allows, and the newest of each line. */
const runtimes = [
  ...['20.19.0', '22.12.0', '22.23.3', '24.21.0', '26.10.0'].map(node),
  {
    name: 'Bun 1.4.5',
    source: `@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}@1.4.5`,
    executable: 'bin/bun',
    args: [],
  },
  {
    name: 'Deno 2.9.6',
    source: `@deno/linux-${process.arch}-glibc@2.9.6`,
    executable: 'deno',
    // What nodepoll needs, as docs/platforms.md says, and the peers of node:net.
    args: ['run', '--no-prompt', '--allow-env', '--allow-read', '--allow-ffi', '--allow-net'],
  },
]

/** Dozens of tests, on two loaded cores. */
const SUITE_DEADLINE_MS = 300_000

const ava = join(root, 'node_modules/ava/entrypoints/cli.mjs')

/** How a process ends, by the cases of __test__/runtimes/process.mjs, and what it prints. */
const endings = {
  unref: { prints: 'unreferenced' },
  ref: { prints: 'closed' },
  exit: { code: 3 },
  throw: { code: 1 },
  inline: { prints: 'inline' },
  guard: { prints: '0 bytes, writing throws' },
}

/**
 * The same where it differs in Bun and Deno. The error is the one of which docs/platforms.md tells
 * users.
 */
const deviations = {
  inline: { prints: documented(/`(ERR_NODEPOLL_UNSUPPORTED)`: `(the host[^`]*)`/) },
  guard: { prints: '0 bytes, writing does nothing' },
}

/** Tests of the repository that every Node runs. */
const specsOfNode = {
  'H64, memory that nobody can take away': ['chunk-transfer'],
  'sockets as those of node:net': ['stream-parity', 'stream-limits', 'stream-web'],
  'sockets under other libraries': ['stream-servers', 'stream-frameworks', 'stream-clients'],
}

const checks = new Checks()
await runScript(async () => {
  if (process.platform !== 'linux' || !process.report.getReport().header.glibcVersionRuntime) {
    return console.log('skipped: the runtimes that are tried here are for Linux with glibc')
  }
  const folder = mkdtempSync(join(tmpdir(), 'nodepoll-runtimes-'))
  const { main, platforms } = await pack()
  const project = makeProject([main, ...platforms])
  try {
    install(folder)
    cpSync(join(root, '__test__/runtimes'), project.folder, { recursive: true })
    for (const runtime of runtimes) await tryOut(project, runtime, pathIn(folder, runtime))
    const nodes = runtimes.filter(({ isNode }) => isNode)
    for (const runtime of [nodes.at(0), nodes.at(-1)]) {
      await tryFrameworks(runtime, pathIn(folder, runtime))
    }
  } finally {
    project.remove()
    rmSync(folder, { recursive: true, force: true })
  }
})
checks.end()

function install(folder) {
  const aliases = runtimes.map((runtime) => `${aliasOf(runtime)}@npm:${runtime.source}`)
  const options = ['--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund']
  const { status, stderr } = npm(['install', ...options, ...aliases], folder)
  if (status !== 0) throw new PlainError(`The runtimes could not be installed:\n${stderr}`)
}

function aliasOf({ name }) {
  return name.toLowerCase().replace(' ', '-')
}

function pathIn(folder, runtime) {
  return join(folder, 'node_modules', aliasOf(runtime), runtime.executable)
}

async function tryOut(project, { name, args, isNode }, executable) {
  await checks.that(`${name}: the public API, in a round`, () => {
    const output = run(project, executable, [...args, 'smoke.mjs'])
    const outcomes = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const failed = outcomes.filter(({ error }) => error !== undefined)
    if (failed.length > 0) throw new Error(failed.map((each) => JSON.stringify(each)).join('\n'))
    return `${outcomes.length} parts`
  })
  const expectations = isNode ? endings : { ...endings, ...deviations }
  for (const [which, { prints, code = 0 }] of Object.entries(expectations)) {
    await checks.that(`${name}: how a process ends: ${which}`, () => {
      const output = run(project, executable, [...args, 'process.mjs', which], code)
      if (prints !== undefined && output !== `${prints}\n`) throw new Error(`it prints ${output}`)
    })
  }
  if (!isNode) return
  for (const [what, specs] of Object.entries(specsOfNode)) {
    await checks.that(`${name}: ${what}`, () => {
      const paths = specs.map((spec) => `__test__/${spec}.spec.ts`)
      const env = { ...process.env, FORCE_COLOR: '0' }
      run({ folder: root, env }, executable, [ava, ...paths])
    })
  }
}

async function tryFrameworks({ name }, executable) {
  const env = { ...process.env, FORCE_COLOR: '0' }
  for (const [framework, folder] of frameworkFolders()) {
    await checks.that(`${name}: the tests of packages/${framework}`, () => {
      const output = run({ folder, env, deadlineMs: SUITE_DEADLINE_MS }, executable, [ava])
      return /\d+ tests passed/.exec(output)?.[0]
    })
  }
}

/** Code and message of an error, as docs/platforms.md has them. */
function documented(pattern) {
  const text = readFileSync(join(root, 'docs/platforms.md'), 'utf8').replaceAll(/\s+/g, ' ')
  const [, code, message] = pattern.exec(text) ?? []
  return `${code}: ${message}`
}
