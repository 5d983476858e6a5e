// The first example of a README, in every format that somebody may write it in.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { freePort } from './free-port.mjs'
import { root } from './packages.mjs'
import { run, start } from './project.mjs'
import { PlainError } from './requirements.mjs'

/** All that makes a compiler strict, its look into our declarations included. */
const strict = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noUnusedLocals: true,
  skipLibCheck: false,
  target: 'es2022',
  lib: ['es2022'],
}

/** What is compiled under strict checks, by what that is for. */
export const compilations = {
  'as ES modules of Node': { ending: 'mts', module: 'nodenext' },
  'as CommonJS of Node': { ending: 'cts', module: 'nodenext' },
  'for a bundler': { ending: 'ts', module: 'esnext', moduleResolution: 'bundler' },
}

/** The programs up to the first that ends by itself, and what that one prints. */
export function firstExample(folder = root) {
  const text = readFileSync(join(folder, 'README.md'), 'utf8')
  const blocks = [...text.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)]
  const servers = []
  for (const [index, [, info, source]] of blocks.entries()) {
    const [language, name = ''] = info.split(' ')
    if (!['js', 'ts'].includes(language)) continue
    if (/(server|service)\.\w+$/.test(name)) {
      servers.push(source)
      continue
    }
    const [, next, expected] = blocks[index + 1] ?? []
    const port = /\bport: (\d+)/.exec(servers[0])?.[1]
    if (next === 'text') return { servers, client: source, expected, port }
  }
  throw new PlainError(`README.md of ${folder} has no program with its output.`)
}

export function runAsModules(project, example) {
  return runExample(project, example, 'mjs', (source) => source)
}

export function runAsCommonJs(project, example) {
  return runExample(project, example, 'cjs', asCommonJs)
}

/** Each program in a worker thread of a process. */
export function runInWorkers(project, example) {
  const starter = 'in-worker.mjs'
  const program = "import { Worker } from 'node:worker_threads'\nnew Worker(process.argv[2])\n"
  writeFileSync(join(project.folder, starter), program)
  return runExample(project, example, 'mjs', (source) => source, [starter])
}

/** `ending` is that of the source; what comes of it is run. */
export function runCompiled(project, example, { ending, ...options }) {
  const isCommonJs = ending === 'cts'
  const compilerOptions = { ...strict, ...options, outDir: 'compiled' }
  const transform = (source) => {
    const file = `example.${ending}`
    writeFileSync(join(project.folder, file), isCommonJs ? asTypedCommonJs(source) : source)
    compile(project, compilerOptions, file)
    return readFileSync(join(project.folder, 'compiled', file.replace('ts', 'js')), 'utf8')
  }
  return runExample(project, example, isCommonJs ? 'cjs' : 'mjs', transform)
}

/** Throws what is wrong with a file or with our declarations. Those of others are not ours. */
function compile({ folder, env }, compilerOptions, file) {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const options = { cwd: folder, env, encoding: 'utf8' }
  const { status, stdout } = spawnSync(process.execPath, [tsc, '--pretty', 'false'], options)
  const problems = stdout.split('\n').filter((line) => line !== '' && !isOfOthers(line))
  if (problems.length > 0 || status === null) throw new Error(problems.join('\n'))
}

/** Whether a line of the compiler is about declarations of others, or goes on about something. */
function isOfOthers(line) {
  return /^(\s|node_modules\/(?!@?nodepoll\/))/.test(line)
}

/** Runs servers and client, which find each other at a port of their own. */
async function runExample(project, example, ending, transform, first = []) {
  const port = String(await freePort())
  const write = (name, source) => {
    const path = join(project.folder, `${name}.${ending}`)
    writeFileSync(path, transform(source.replaceAll(example.port, port)))
    return path
  }
  const started = []
  try {
    for (const [index, source] of example.servers.entries()) {
      started.push(await start(project, [...first, write(`server${index}`, source)]))
    }
    const output = run(project, process.execPath, [...first, write('client', example.client)])
    if (output !== example.expected) throw new Error(`it says:\n${output}`)
  } finally {
    for (const { stop } of started) stop()
  }
}

/** The same program for `require`, which has no `await` outside of functions. */
function asCommonJs(source) {
  const required = source.replaceAll(/^import (.*) from ('.*')$/gm, 'const $1 = require($2)')
  return `async function main() {\n${required}}\nmain()\n`
}

/** As above in TypeScript, where the compiler makes the calls of `require`. */
function asTypedCommonJs(source) {
  const imports = source.match(/^import .*$/gm) ?? []
  const rest = source.replaceAll(/^import .*$/gm, '')
  return `${imports.join('\n')}\nasync function main() {\n${rest}}\nvoid main()\n`
}
