import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

const run = promisify(execFile)

const DEADLINE_MS = 20_000
const root = fileURLToPath(new URL('..', import.meta.url))
const documents = readdirSync(root)
  .concat(readdirSync(join(root, 'docs')).map((name) => `docs/${name}`))
  .filter((name) => name.endsWith('.md'))

interface Block {
  /** Where it stands, for the message of a failed test. */
  readonly place: string
  /** What stands behind the fence: the language, and the name of the program if it has one. */
  readonly info: string
  readonly text: string
}

/** The fenced blocks of a text. */
function blocksOf(place: string, text: string): Block[] {
  const blocks: Block[] = []
  for (const match of text.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)) {
    const [, info = '', content = ''] = match
    const line = text.slice(0, match.index).split('\n').length
    blocks.push({ place: `${place}:${line}`, info, text: content })
  }
  return blocks
}

/** The examples in the doc comments of a source file. */
function examplesOf(path: string): Block[] {
  const comments = readFileSync(path, 'utf8').matchAll(/^( *)\/\*\*\n(.*?)\*\/$/gms)
  return Array.from(comments).flatMap(([, indent = '', body = '']) => {
    const text = body.replaceAll(new RegExp(`^${indent} \\* ?`, 'gm'), '')
    const at = text.indexOf('@example')
    return at < 0 ? [] : blocksOf(relative(root, path), text.slice(at))
  })
}

function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesUnder(path, ending)
    return entry.name.endsWith(ending) ? [path] : []
  })
}

/** A folder from which `nodepoll` is this package, and which is gone after the test. */
function workshop(t: ExecutionContext): string {
  mkdirSync(join(root, 'target'), { recursive: true })
  const folder = mkdtempSync(join(root, 'target', 'documentation-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs a server of a document until the test ends. Its port, as it says in its first line. */
async function startServer(t: ExecutionContext, path: string): Promise<string> {
  const server: ChildProcess = spawn(process.execPath, [path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => server.kill('SIGKILL'))
  const lines = createInterface(server.stdout as NonNullable<typeof server.stdout>)
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const [line] = (await once(lines, 'line', { signal })) as [string]
  return /\d+$/.exec(line)?.[0] ?? t.fail(`no port in '${line}'`)
}

/**
 * Blocks of one document, one after the other. A block whose name ends in `server.mjs` stays for
 * those that follow, which find it although they name another port; the others must come to an
 * end by themselves and say what the `text` block after them says.
 */
async function runBlocks(t: ExecutionContext, folder: string, blocks: Block[]): Promise<void> {
  let port = '0'
  for (const [index, { place, info, text }] of blocks.entries()) {
    const [language, name = `${index}.mjs`] = info.split(' ')
    if (language !== 'js') continue
    const path = join(folder, name)
    const isServer = name.endsWith('server.mjs')
    writeFileSync(path, text.replaceAll('7000', isServer ? '0' : port))
    if (isServer) {
      port = await startServer(t, path)
      continue
    }
    const { stdout } = await run(process.execPath, [path], { timeout: DEADLINE_MS })
    const next = blocks[index + 1]
    if (next?.info === 'text') t.is(stdout, next.text, place)
  }
}

for (const name of documents) {
  const text = readFileSync(join(root, name), 'utf8')

  test(`the programs in ${name} run and say what it says`, async (t) => {
    const blocks = blocksOf(name, text)
    const programs = blocks.filter(({ info }) => /^(js|ts|javascript|typescript|mjs)\b/.test(info))
    for (const { place, info } of programs) t.regex(info, /^js\b/, `${place}: only js runs as is`)
    await runBlocks(t, workshop(t), blocks)
    t.pass()
  })

  test(`${name} says something, and its links lead to what is there`, (t) => {
    t.true(text.length > 200)
    for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      const [path = '', anchor] = link.split('#')
      if (/^https?:/.test(path)) continue
      const target = path === '' ? join(root, name) : resolve(root, dirname(name), path)
      t.true(existsSync(target), `${name}: ${link}`)
      if (anchor !== undefined) t.true(anchorsOf(target).has(anchor), `${name}: ${link}`)
    }
  })

  test(`${name} names commands that package.json has`, (t) => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    for (const [, script = ''] of text.matchAll(/\bnpm run (?:-s |--silent )?([\w:]+)/g)) {
      t.true(script in scripts, `${name}: npm run ${script}`)
    }
    t.pass()
  })
}

/** The anchors that GitHub gives to the headings of a document. */
function anchorsOf(path: string): Set<string> {
  const headings = readFileSync(path, 'utf8').matchAll(/^#+ (.+)$/gm)
  return new Set(
    Array.from(headings, ([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

test('every example in a doc comment type-checks under our own settings, and runs', async (t) => {
  const folder = workshop(t)
  const examples = filesUnder(join(root, 'lib'), '.ts').flatMap(examplesOf)
  t.true(examples.length >= 5, 'examples are found')
  for (const [index, { place, info, text }] of examples.entries()) {
    t.is(info, 'ts', place)
    writeFileSync(join(folder, `${index}.ts`), `// ${place}\n${text}`)
  }
  const settings = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      // What an example declares is for its reader to use.
      noUnusedLocals: false,
      declaration: false,
      isolatedDeclarations: false,
      sourceMap: false,
      outDir: '.',
      rootDir: '.',
      typeRoots: [join(root, 'node_modules/@types')],
    },
    include: ['*.ts'],
    exclude: [],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(settings))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const compiled = await run(process.execPath, [tsc, '-p', folder], { timeout: DEADLINE_MS }).catch(
    (error: { stdout: string }) => error,
  )
  t.is(compiled.stdout, '')
  for (const [index, { place }] of examples.entries()) {
    const path = join(folder, `${index}.js`)
    await t.notThrowsAsync(run(process.execPath, [path], { timeout: DEADLINE_MS }), place)
  }
})

test('every error code has a heading of its own in docs/errors.md', (t) => {
  const source = readFileSync(join(root, 'lib/errors.ts'), 'utf8')
  const declared = /export type ErrorCode =([^\n]*\n(?: {2}\|[^\n]*\n)*)/.exec(source)?.[1] ?? ''
  const codes = Array.from(declared.matchAll(/'(ERR_NODEPOLL_\w+)'/g), ([, code]) => code)
  t.true(codes.length > 0)
  const errors = readFileSync(join(root, 'docs/errors.md'), 'utf8')
  const headings = Array.from(errors.matchAll(/^### (ERR_NODEPOLL_\w+)$/gm), ([, code]) => code)
  t.deepEqual(headings.toSorted(), codes.toSorted())
})
