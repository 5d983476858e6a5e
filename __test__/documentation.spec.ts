import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

import test from 'ava'
import { parse } from 'yaml'

import { adviceFor } from '../scripts/servers.mjs'
import {
  type Block,
  blocksOf,
  examplesOf,
  makeWorkshop,
  PROGRAM_MS,
  root,
  runBlocks,
} from './helpers/blocks.ts'
import { serverNames, versionOfServer } from './helpers/real-server.ts'

const run = promisify(execFile)

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...filesUnder('docs', '.md'),
  'site/index.md',
]

/** What blocks of documents are written in: each is run, compared or at least parsed. */
const languages = new Set(['js', 'ts', 'sh', 'text', 'json', 'yaml'])

/** The paths of files under a folder of the repository. */
function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return filesUnder(path, ending)
    return entry.name.endsWith(ending) ? [path] : []
  })
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

for (const name of documents) {
  const text = read(name)
  const blocks = blocksOf(name, text)

  // One after the other: there are many, and each starts processes.
  test.serial(`every block in ${name} runs, and prints what the next one says`, async (t) => {
    for (const { place, language } of blocks) t.true(languages.has(language), place)
    // Those who work on the repository have their own commands, which run elsewhere.
    const isForUsers = /^(docs|site)\/|^README/.test(name)
    await runBlocks(t, isForUsers ? blocks : blocks.filter(({ language }) => language !== 'sh'))
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
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
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

test('every example in TypeScript type-checks under our own settings, and runs', async (t) => {
  const folder = makeWorkshop(t)
  const examples = [
    ...filesUnder('lib', '.ts').flatMap((path) => examplesOf(path, read(path))),
    ...documents.flatMap((name) => blocksOf(name, read(name)).filter(isTypeScript)),
  ]
  t.true(examples.length >= 5, 'examples are found')
  for (const [index, { place, language, text }] of examples.entries()) {
    t.is(language, 'ts', place)
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
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const compiled = await run(process.execPath, [tsc, '-p', folder], { timeout: PROGRAM_MS }).catch(
    (error: { stdout: string }) => error,
  )
  t.is(compiled.stdout, '')
  for (const [index, { place }] of examples.entries()) {
    const path = join(folder, `${index}.js`)
    await t.notThrowsAsync(run(process.execPath, [path], { timeout: PROGRAM_MS }), place)
  }
})

function isTypeScript({ language }: Block): boolean {
  return language === 'ts'
}

test('every error code has a heading of its own in docs/errors.md', (t) => {
  const codes = ['lib/errors.ts', 'lib/rpc/errors.ts'].flatMap((path) => {
    const pattern = /export type (?:Rpc)?ErrorCode =([^\n]*\n(?: {2}\|[^\n]*\n)*)/
    const declared = pattern.exec(read(path))?.[1] ?? ''
    const found = Array.from(declared.matchAll(/'(ERR_NODEPOLL_\w+)'/g), ([, code]) => code)
    t.true(found.length > 0, path)
    return found
  })
  const headings = read('docs/errors.md').matchAll(/^### (ERR_NODEPOLL_\w+)$/gm)
  t.deepEqual(Array.from(headings, ([, code]) => code).toSorted(), codes.toSorted())
})

const manifests = [
  'package.json',
  'packages/nestjs/package.json',
  'packages/moleculer/package.json',
]

/** The rows of the table of what is tested: page, library, version, against what. */
function integrations(): string[][] {
  const row = /^\| \[([^\]]+)\]\(([^)]+)\) *\|[^|]*\| ([^|]*?) *\| ([^|]*?) *\|$/gm
  return Array.from(read('docs/guide/streams.md').matchAll(row), (match) => match.slice(1))
}

test('the versions in docs/guide/streams.md are those that the tests run', (t) => {
  const known = manifests.map(
    (path) => (JSON.parse(read(path)) as { devDependencies: object }).devDependencies,
  )
  const versions = Object.assign({}, ...known) as Record<string, string>
  const rows = integrations()
  t.true(rows.length > 15)
  for (const [name = '', , version = ''] of rows) {
    const expected = name.startsWith('node:') ? 'of Node 20.19 and later' : versions[name]
    t.true(version === expected, `${name} ${version} is not ${expected}`)
  }
})

test('each page of docs/integrations stands in docs/guide/streams.md', (t) => {
  const pages = integrations().flatMap(([, link = '']) => /[\w-]+\.md$/.exec(link) ?? [])
  const own = [...new Set(pages)].filter((page) => page !== 'microservices.md')
  t.deepEqual(own.toSorted(), readdirSync(join(root, 'docs/integrations')).toSorted())
})

test('the servers in docs/guide/streams.md are those of Debian 12', (t) => {
  const system = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const told = integrations().flat().join('\n')
  for (const name of serverNames) {
    const [, version = ''] = new RegExp(`\\b${name}(?:ql)? ([\\d.]+)`, 'i').exec(told) ?? []
    t.regex(version, /^\d/, name)
    const found = versionOfServer(name)
    if (found === undefined) t.log(adviceFor(name))
    else if (system.includes('VERSION_CODENAME=bookworm')) {
      t.true(`${found}.`.startsWith(`${version}.`), `${name} ${found} is not ${version}`)
    }
  }
})

test('the files of docs/guide/rpc-service.md are those of examples/rpc', (t) => {
  const page = 'docs/guide/rpc-service.md'
  const named = blocksOf(page, read(page)).filter(({ name }) => name !== undefined)
  t.deepEqual(
    named.map(({ name }) => name).toSorted(),
    readdirSync(join(root, 'examples/rpc')).toSorted(),
  )
  for (const { place, name, text } of named) t.is(text, read(`examples/rpc/${name}`), place)
})

test('the deployment in docs/guide/shutdown.md leaves time for all of the end', (t) => {
  const page = 'docs/guide/shutdown.md'
  const named = new Map(blocksOf(page, read(page)).map(({ name, text }) => [name, text]))
  const program = named.get('server.mjs') ?? ''
  const deadlineMs = Number(/DEADLINE_MS = ([\d_]+)/.exec(program)?.[1]?.replace('_', ''))
  const { spec } = (parse(named.get('deployment.yaml') ?? '') as Deployment).spec.template
  const [container] = spec.containers
  const leaveMs = Number(container?.env.find(({ name }) => name === 'LEAVE_MS')?.value)
  t.true(leaveMs > 0 && deadlineMs > 0)
  t.true(spec.terminationGracePeriodSeconds * 1000 > leaveMs + deadlineMs)
  t.deepEqual(container?.command, ['node', 'server.mjs'])
  for (const { containerPort } of container?.ports ?? []) {
    t.true(program.includes(`port: ${containerPort}`), `${containerPort}`)
  }
})

interface Deployment {
  readonly spec: { readonly template: { readonly spec: Pod } }
}

interface Pod {
  readonly terminationGracePeriodSeconds: number
  readonly containers: readonly {
    readonly command: readonly string[]
    readonly env: readonly { readonly name: string; readonly value: string }[]
    readonly ports: readonly { readonly containerPort: number }[]
  }[]
}
