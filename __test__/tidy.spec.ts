import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { entries, exportsOf, indexOf } from './helpers/exports.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Files over their budget, each with the reason. */
const overBudget: Readonly<Record<string, string>> = {}

/** Lines over 100 columns that cannot be broken, by file, each with the reason. */
const longLines: Readonly<Record<string, string>> = {
  'testdata/thrift/gen-nodejs/Echo.js': 'the compiler of Thrift has written it',
}

const LINE_MAX = 100
const SAFETY_WORDS_MIN = 10

const files = listFiles()
const texts = new Map(files.map((path) => [path, readFileSync(`${root}/${path}`, 'utf8')]))

/** Every file of the repository, the new ones too. */
function listFiles(): string[] {
  const listing = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: root, encoding: 'utf8' },
  )
  return [...new Set(listing.split('\0'))].filter(
    (path) => path !== '' && existsSync(`${root}/${path}`) && statSync(`${root}/${path}`).isFile(),
  )
}

function textOf(path: string): string {
  return texts.get(path) ?? ''
}

function matching(pattern: RegExp): [path: string, text: string][] {
  return [...texts].filter(([path]) => pattern.test(path))
}

/** `path:line` of every line for which `isWrong` holds. */
function linesWhere(pattern: RegExp, isWrong: (line: string, path: string) => boolean): string[] {
  return matching(pattern).flatMap(([path, text]) =>
    text
      .split('\n')
      .flatMap((line, index) => (isWrong(line, path) ? [`${path}:${index + 1}`] : [])),
  )
}

const source = /\.(ts|cts|mts|js|cjs|mjs|rs)$/

test('no line of code is longer than 100 columns', (t) => {
  t.deepEqual(linesWhere(source, isLong), [])
})

test('every file keeps to its budget, or its reason stands in the allow-list', (t) => {
  const over = matching(source).flatMap(([path, text]) => {
    const lines = lineCountOf(path, text)
    const budget = budgetOf(path)
    const isOver = lines > budget && !(path in overBudget)
    return isOver ? [`${path} has ${lines} lines, its budget is ${budget}`] : []
  })
  t.deepEqual(over, [])
})

function budgetOf(path: string): number {
  if (path.startsWith('__test__/') || /(^|\/)(tests\/|loom_tests\.rs$)/.test(path)) return 800
  if (path.startsWith('examples/')) return 60
  if (/^(lib\.rs|mod\.rs|index\.ts)$/.test(basename(path))) return 150
  return path.endsWith('.rs') ? 500 : 400
}

/** Tests inside a Rust file do not count. */
function lineCountOf(path: string, text: string): number {
  const code = path.endsWith('.rs') ? (text.split(/^#\[cfg\((?:all\()?test/m)[0] ?? text) : text
  return code.trimEnd().split('\n').length
}

test('the allow-lists name files that exist and give a reason', (t) => {
  for (const [path, reason] of Object.entries({ ...overBudget, ...longLines })) {
    t.true(texts.has(path), path)
    t.true(reason.split(' ').length >= 5, path)
  }
  t.pass()
})

test('no notes to self, debug output or single tests are left', (t) => {
  const own = '__test__/tidy.spec.ts'
  const isLeft = (line: string, path: string): boolean =>
    path !== own && /\bFIXME\b|\bdbg!|\btest(?:\.serial)?\.only\b/.test(line)
  t.deepEqual(linesWhere(source, isLeft), [])
})

test('the library does not log', (t) => {
  t.deepEqual(
    linesWhere(/^lib\//, (line) => isCode(line) && /\bconsole\.\w+\(/.test(line)),
    [],
  )
})

test('the core crates do not know Node-API', (t) => {
  const manifests = matching(/^crates\/(linkbuf|nodepoll)\/Cargo\.toml$/)
  t.is(manifests.length, 2)
  for (const [path, text] of manifests) t.notRegex(text, /\bnapi/, path)
})

test('nothing outside lib/native imports the binding or names its types', (t) => {
  const code = /^(lib\/(?!native\/)|examples\/|benchmark\/).*\.(ts|mjs)$/
  t.deepEqual(
    linesWhere(code, (line) => /native\/binding|\bBinding[A-Z]/.test(line)),
    [],
  )
})

test('the library has no any and no default export', (t) => {
  t.deepEqual(linesWhere(/^lib\/.*\.ts$/, isLoose), [])
})

test('each error code has a heading in docs/errors.md', (t) => {
  const unions = ['lib/errors.ts', 'lib/rpc/errors.ts'].map(
    (path) => /export type (?:Rpc)?ErrorCode =([^]*?)\n\n/.exec(textOf(path))?.[1] ?? '',
  )
  const codes = unions.flatMap((union) =>
    [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code),
  )
  t.true(codes.length >= 30)
  t.deepEqual(
    codes.filter((code) => !hasHeading('docs/errors.md', code)),
    [],
  )
})

test('each exported symbol appears in docs/api.md', (t) => {
  const text = textOf('docs/api.md')
  const names = entries().flatMap((entry) => exportedNames(indexOf(entry)))
  t.deepEqual(
    names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text)),
    [],
  )
})

test('each option and counter appears in the documents for users', (t) => {
  const guide = matching(/^docs\/.*\.md$/)
    .map(([, text]) => text)
    .join('\n')
  const owners = ['options', 'runtime', 'framing', 'rpc/options', 'stream/options'].map(
    (name) => `lib/${name}.ts`,
  )
  const interfaces = /export interface (\w*(?:Options|Stats|KeepAlive))\b[^{]*\{\n([^]*?)\n\}/g
  const members = owners.flatMap((path) =>
    [...textOf(path).matchAll(interfaces)].flatMap(([, owner, body = '']) =>
      [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, name]) => [owner, name]),
    ),
  )
  t.true(members.length > 60)
  t.deepEqual(
    members.filter(([, name]) => !new RegExp(`\\b${name}\\b`).test(guide)),
    [],
  )
})

test('each page of docs/ is reached from the README by links', (t) => {
  const reached = new Set<string>()
  const follow = (path: string): void => {
    if (reached.has(path)) return
    reached.add(path)
    for (const [, target = ''] of textOf(path).matchAll(/\]\((?!https?:|#)([^)#\s]+\.md)/g)) {
      follow(join(dirname(path), target))
    }
  }
  follow('README.md')
  const pages = matching(/^docs\/.*\.md$/).map(([path]) => path)
  t.deepEqual(
    pages.filter((path) => !reached.has(path)),
    [],
  )
})

for (const entry of entries()) {
  test(`the public exports of ${entry} are those that are listed`, (t) => {
    const { values = [], types = [] } = exportsOf[entry] ?? {}
    t.deepEqual(exportedNames(indexOf(entry)), [...values, ...types].toSorted())
  })
}

function exportedNames(path: string): string[] {
  const lists = textOf(path).matchAll(/export (?:type )?\{([^}]*)\}/g)
  return [...lists]
    .flatMap(([, list]) => (list as string).split(','))
    .map((name) => name.replace(/\btype\b|\w+ as\b/, '').trim())
    .filter((name) => name !== '')
    .toSorted()
}

test('each source file, or a folder above it, stands in ARCHITECTURE.md', (t) => {
  const map = textOf('ARCHITECTURE.md')
  const isMapped = (path: string): boolean => {
    if (map.includes(path) || new RegExp(`\\b${basename(path)}\\b`.replace('.', '\\.')).test(map)) {
      return true
    }
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
      // The roots themselves say nothing about what is in them.
      if (/^(lib|crates\/\w[\w-]*\/src|crates)$/.test(folder)) return false
      if (map.includes(`${folder}/`) || map.includes(`${basename(folder)}/`)) return true
    }
    return false
  }
  const sources = files.filter((path) => /^(lib\/.*\.ts|crates\/[\w-]+\/src\/.*\.rs)$/.test(path))
  t.true(sources.length > 40)
  t.deepEqual(
    sources.filter((path) => !isMapped(path)),
    [],
  )
})

test('each SAFETY comment has at least ten words', (t) => {
  const short = matching(/\.rs$/).flatMap(([path, text]) => {
    const comments = text.matchAll(/\/\/ SAFETY:((?:[^\n]*\n\s*\/\/)*[^\n]*)/g)
    return [...comments]
      .map(([, comment]) => (comment as string).replaceAll('//', ' ').trim())
      .filter((comment) => comment.split(/\s+/).length < SAFETY_WORDS_MIN)
      .map((comment) => `${path}: ${comment}`)
  })
  t.deepEqual(short, [])
})

test('no document is empty, and links between them lead somewhere', (t) => {
  const documents = matching(/\.md$/)
  t.true(documents.length > 0)
  for (const [path, text] of documents) {
    t.true(text.trim().split('\n').length > 2, path)
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|mailto:|#|\/)([^)#\s]+)/g)) {
      t.true(existsSync(`${root}/${dirname(path)}/${target}`), `${path} leads to ${target}`)
    }
  }
})

function hasHeading(path: string, title: string): boolean {
  return textOf(path)
    .split('\n')
    .some((line) => line.startsWith('#') && line.includes(title))
}

function isLong(line: string, path: string): boolean {
  return [...line].length > LINE_MAX && !(path in longLines)
}

function isCode(line: string): boolean {
  return !/^\s*(\*|\/\/)/.test(line)
}

function isLoose(line: string): boolean {
  return /[\w)\]?]: any\b|\bas any\b|<any>|^export default/.test(line)
}
