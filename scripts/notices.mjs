// Writes THIRD-PARTY-NOTICES.txt: the licences of all that is compiled into the native library, on
// any platform. It goes into the packages that contain one.
//
//   node scripts/notices.mjs            writes it
//   node scripts/notices.mjs --check    fails if it is not what would be written
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { PlainError } from './requirements.mjs'
import { isMain, runScript } from './setup.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const path = join(root, 'THIRD-PARTY-NOTICES.txt')

const RULE = '─'.repeat(80)

/** Of several licences that one may choose from, the first of these is chosen. */
const choices = ['MIT', 'ISC', 'Zlib', 'BSD-3-Clause', 'Apache-2.0']

const header = `The native library of nodepoll contains the works below, in compiled form. nodepoll
itself is licensed as the file LICENSE says. Libraries for Linux also contain parts of
compiler-rt and libunwind of LLVM, whose licence, Apache-2.0 WITH LLVM-exception, asks
for no notice of these.
`

/** Part of every program in Rust, and no package that cargo knows of. */
const standardLibrary = {
  name: 'The Rust standard library',
  license: 'MIT',
  authors: ['The Rust Project Developers'],
}

/** Whether the notices are up to date. */
export function areNoticesCurrent() {
  return readFileSync(path, 'utf8') === notices()
}

function notices() {
  const groups = new Map()
  for (const work of works()) {
    const text = textOf(work)
    groups.set(text, [...(groups.get(text) ?? []), `${work.name} (${work.license})`])
  }
  const sections = [...groups].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`)
  return [header, ...sections].join(`\n${RULE}\n`)
}

/** The crates that the binding links on any platform, and the standard library; by name. */
function works() {
  const { napi } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const linked = new Set(napi.targets.flatMap(linkedFor))
  const { packages } = JSON.parse(cargo('metadata', '--format-version', '1'))
  const crates = packages.filter(
    ({ name, version, source }) => source !== null && linked.has(`${name} v${version}`),
  )
  return [...crates, standardLibrary].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Names and versions of the crates that the binding links for a target: `mio v1.2.4` … */
function linkedFor(target) {
  const edges = ['--edges', 'normal,no-proc-macro', '--target', target]
  const tree = cargo('tree', '-p', 'nodepoll-node', ...edges, '--prefix', 'none')
  return tree.split('\n').map((line) => line.split(' ').slice(0, 2).join(' '))
}

function cargo(command, ...args) {
  const { stdout, stderr, status } = spawnSync('cargo', [command, '--locked', ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) throw new PlainError(`cargo ${command} failed:\n${stderr}`)
  return stdout
}

/** The licence that is chosen, in the words that come with the work. */
function textOf({ name, license, authors, manifest_path: manifest }) {
  const choice = choices.find((each) => license.split(/ OR |\//).includes(each))
  if (choice === undefined) throw new PlainError(`${name} has the licence ${license}: look at it.`)
  const folder = manifest === undefined ? undefined : dirname(manifest)
  const files = folder === undefined ? [] : readdirSync(folder).filter(isLicense)
  const own = files.find((file) => file.toUpperCase().includes(choice.toUpperCase()))
  const file = own ?? (files.length === 1 ? files[0] : undefined)
  if (file !== undefined) return readFileSync(join(folder, file), 'utf8').trim()
  if (choice !== 'MIT') throw new PlainError(`${name} comes without a text of ${choice}.`)
  return mit(authors)
}

function isLicense(file) {
  return /^(un)?licen[cs]e/i.test(file)
}

/** For works that name this licence and bring no text of it along. */
function mit(authors) {
  const own = readFileSync(join(root, 'LICENSE'), 'utf8')
  return own.replace(/^Copyright.*$/m, `Copyright (c) ${authors.join(', ')}`).trim()
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    if (!process.argv.includes('--check')) return writeFileSync(path, notices())
    if (!areNoticesCurrent()) throw new PlainError('Run `node scripts/notices.mjs`.')
  })
}
