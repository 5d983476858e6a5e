import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { freePort } from './helpers.ts'
import { Program } from './program.ts'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(join(folder, 'README.md'), 'utf8')

const isMissing = (word: string) => !readme.includes(`\`${word}\``)

interface Block {
  readonly language: string
  readonly name: string | undefined
  readonly text: string
}

const blocks: Block[] = Array.from(readme.matchAll(/^```(\w+) ?(\S*)\n(.*?)^```$/gms), (match) => {
  const [, language = '', name, text = ''] = match
  return { language, name: name === '' ? undefined : name, text }
})

/** The examples, type-checked and compiled, in a folder from which the packages are found. */
async function compiled(t: ExecutionContext, port: string): Promise<string> {
  const workshop = mkdtempSync(join(folder, 'node_modules/.readme-'))
  t.teardown(() => rmSync(workshop, { recursive: true, force: true }))
  mkdirSync(join(workshop, 'node_modules/@nodepoll'), { recursive: true })
  symlinkSync(folder, join(workshop, 'node_modules/@nodepoll/moleculer'), 'junction')
  writeFileSync(join(workshop, 'package.json'), '{ "type": "module" }')
  for (const [index, { language, name = `${index}.ts`, text }] of blocks.entries()) {
    if (language === 'ts') writeFileSync(join(workshop, name), text.replaceAll('6001', port))
  }
  const settings = {
    extends: join(folder, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      sourceMap: false,
      outDir: '.',
      rootDir: '.',
      typeRoots: [join(folder, '../../node_modules/@types')],
    },
    include: ['*.ts'],
    exclude: [],
  }
  writeFileSync(join(workshop, 'tsconfig.json'), JSON.stringify(settings))
  const tsc = join(folder, '../../node_modules/typescript/bin/tsc')
  const output = await run(process.execPath, [tsc, '-p', workshop]).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  )
  t.is(output, '')
  return workshop
}

test('the examples of the README type-check, run, and print what it says', async (t) => {
  const workshop = await compiled(t, String(await freePort()))
  const service = new Program(t, join(workshop, 'service.js'))
  await service.says(/^listening\n/)
  const { stdout } = await run(process.execPath, [join(workshop, 'client.js')])
  t.is(stdout, blocks.find(({ language }) => language === 'text')?.text ?? '')
  await service.says(/Ann was greeted/)
  t.is(await service.end('SIGTERM'), 0)
  t.is(service.errors, '')
})

test('each code of an error stands in the README, and so does each option', (t) => {
  const source = readFileSync(join(folder, 'lib/errors.ts'), 'utf8')
  const options = readFileSync(join(folder, 'lib/options.ts'), 'utf8')
  const codes = Array.from(source.matchAll(/\| '(\w+)'/g), ([, code = '']) => code)
  const names = Array.from(options.matchAll(/^ {2}(\w+)\?:/gm), ([, name = '']) => name)
  t.true(codes.length >= 6 && names.length >= 6)
  t.deepEqual(codes.filter(isMissing), [])
  t.deepEqual(
    names.filter((name) => name !== 'host' && name !== 'port' && name !== 'path').filter(isMissing),
    [],
  )
})
