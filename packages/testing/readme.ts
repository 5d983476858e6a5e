// What README.md of a package says, held against the package: that whose tests run.
import { execFile } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'

import { type Block, blocksOf, examplesOf } from '../../__test__/helpers/blocks.ts'
import { freePort } from '../../scripts/free-port.mjs'
import { LOADER, Program } from './program.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = process.cwd()
const readme = readFileSync('README.md', 'utf8')
const blocks = blocksOf('README.md', readme)

/**
 * Compiles all examples, those in comments of the code too, and runs the first two: `service.ts`,
 * which prints `listening`, and `client.ts`, which prints what the next block says.
 */
export async function runExamples(t: ExecutionContext, compilerOptions: object): Promise<void> {
  const [, port = ''] = /\bport: (\d+)/.exec(readme) ?? []
  const workshop = makeWorkshop(t)
  const own = String(await freePort())
  for (const [index, { language, name = `${index}.ts`, text }] of blocks.entries()) {
    if (language === 'ts') writeFileSync(join(workshop, name), text.replaceAll(port, own))
  }
  for (const [index, { text }] of examplesInCode().entries()) {
    writeFileSync(join(workshop, `code-${index}.ts`), text)
  }
  t.is(await compile(workshop, compilerOptions), '')
  const service = new Program(t, join(workshop, 'service.js'))
  await service.says(/^listening\n/)
  const { stdout } = await run(process.execPath, [join(workshop, 'client.js')])
  t.is(stdout, after((block) => block.name === 'client.ts').text)
  await service.says(/Ann was greeted/)
  t.is(await service.end('SIGTERM'), 0)
  t.is(service.errors, '')
}

function examplesInCode(): Block[] {
  const paths = readdirSync('lib').map((name) => join('lib', name))
  return paths.flatMap((path) => examplesOf(path, readFileSync(path, 'utf8')))
}

/** A folder in which the package and all that it is tried with are found. */
function makeWorkshop(t: ExecutionContext): string {
  const { name } = JSON.parse(readFileSync('package.json', 'utf8')) as { name: string }
  const workshop = mkdtempSync(join(folder, 'node_modules/.readme-'))
  t.teardown(() => rmSync(workshop, { recursive: true, force: true }))
  const link = join(workshop, 'node_modules', name)
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(folder, link, 'junction')
  writeFileSync(join(workshop, 'package.json'), '{ "type": "module" }')
  return workshop
}

/** What the compiler has to say. */
async function compile(workshop: string, compilerOptions: object): Promise<string> {
  const settings = {
    extends: join(folder, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      sourceMap: false,
      outDir: '.',
      rootDir: '.',
      typeRoots: [join(root, 'node_modules/@types')],
      ...compilerOptions,
    },
    include: ['*.ts'],
    exclude: [],
  }
  writeFileSync(join(workshop, 'tsconfig.json'), JSON.stringify(settings))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  return run(process.execPath, [tsc, '-p', workshop]).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  )
}

/**
 * Starts the programs of `sample/` with the commands that the README has for that, each in a block
 * before one with what it prints at first, and ends them like Ctrl-C. What the last one prints then
 * says the last block of the section. Numbers are taken for any numbers, those of four digits in
 * commands for ports.
 */
export async function runSample(t: ExecutionContext): Promise<void> {
  const commands = blocks.filter(isCommand)
  const ports = new Set(commands.flatMap(({ text }) => text.match(/\b\d{4}\b/g) ?? []))
  const own = new Map<string, number>()
  for (const port of ports) own.set(port, await freePort())
  const programs: Program[] = []
  for (const block of commands) {
    const text = block.text.replaceAll(/\b\d{4}\b/g, (port) => String(own.get(port)))
    const [node, loader, path = '', ...args] = text.trim().split(' ')
    t.deepEqual([node, loader], ['node', LOADER], block.place)
    const program = new Program(t, path, ...args)
    programs.push(program)
    await program.says(new RegExp(`^${patternOf(after((each) => each === block).text)}`))
  }
  const farewell = blocks.slice(blocks.findLastIndex(isCommand) + 2)[0]?.text ?? ''
  for (const program of programs.toReversed()) {
    t.is(await program.end('SIGINT'), 0)
    t.is(program.errors, '')
  }
  t.true(programs.length > 1)
  t.regex(programs.at(-1)?.output ?? '', new RegExp(`\n${patternOf(farewell)}$`))
}

function isCommand({ language, text }: Block): boolean {
  return language === 'sh' && text.startsWith('node ')
}

/** The block after the first one that is meant. */
function after(isMeant: (block: Block) => boolean): Block {
  const block = blocks[blocks.findIndex(isMeant) + 1]
  if (block?.language !== 'text') throw new Error('README.md has no output after an example')
  return block
}

function patternOf(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll(/\d+/g, String.raw`\d+`)
}

/** Codes of errors and options of the package that the README does not have. */
export function undocumented(): string[] {
  const codes = namesIn('lib/errors.ts', /\| '(\w+)'/g)
  const options = namesIn('lib/options.ts', /^ {2}(\w+)\?:/gm)
  return [...codes, ...options].filter((name) => !readme.includes(`\`${name}\``))
}

function namesIn(path: string, pattern: RegExp): string[] {
  const names = Array.from(readFileSync(path, 'utf8').matchAll(pattern), ([, name = '']) => name)
  if (names.length < 6) throw new Error(`too few names are found in ${path}`)
  // Where to listen and to dial is told in words.
  return names.filter((name) => !['host', 'port', 'path'].includes(name))
}
