// The first example of README.md, in every format that somebody may write it in.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { root } from './pack.mjs'
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

/** The programs up to the first that ends by itself, and what that one prints. */
export function firstExample() {
  const text = readFileSync(join(root, 'README.md'), 'utf8')
  const blocks = [...text.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)]
  const servers = []
  for (const [index, [, info, source]] of blocks.entries()) {
    const [language, name = ''] = info.split(' ')
    if (language !== 'js') continue
    if (name.endsWith('server.mjs')) {
      servers.push(source)
      continue
    }
    const [, next, expected] = blocks[index + 1] ?? []
    if (next === 'text') return { servers, client: source, expected }
  }
  throw new PlainError('README.md has no program with its output.')
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
  const compiled = join(project.folder, 'compiled')
  const compilerOptions = { ...strict, ...options, outDir: compiled }
  const compile = (source) => {
    const file = `example.${ending}`
    writeFileSync(join(project.folder, file), isCommonJs ? asTypedCommonJs(source) : source)
    const config = JSON.stringify({ compilerOptions, files: [file] })
    writeFileSync(join(project.folder, 'tsconfig.json'), config)
    run(project, process.execPath, [join(root, 'node_modules/typescript/bin/tsc')])
    return readFileSync(join(compiled, file.replace('ts', 'js')), 'utf8')
  }
  return runExample(project, example, isCommonJs ? 'cjs' : 'mjs', compile)
}

/** Runs servers and client, which find each other at a port of their own. */
async function runExample(project, example, ending, transform, first = []) {
  const write = (name, source, port) => {
    const path = join(project.folder, `${name}.${ending}`)
    writeFileSync(path, transform(source.replaceAll('7000', port)))
    return path
  }
  const started = []
  let port = '0'
  try {
    for (const [index, source] of example.servers.entries()) {
      const server = await start(project, [...first, write(`server${index}`, source, '0')])
      started.push(server)
      port = /\d+$/.exec(server.line)?.[0]
    }
    const path = write('client', example.client, port)
    const output = run(project, process.execPath, [...first, path])
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
