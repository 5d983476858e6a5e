// Where the version of a release stands, and how to set it.
//
//   npm run release:version 1.2.3    sets it, and begins its section of CHANGELOG.md
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { frameworkFolders, platformFolders, root } from './packages.mjs'
import { PlainError } from './requirements.mjs'
import { isMain, runScript } from './setup.mjs'

/** The members of the workspace, which have its version. */
const crates = ['linkbuf', 'nodepoll', 'nodepoll-loadgen', 'nodepoll-node']

/** Files and what stands before the version in them. */
function places() {
  const inManifest = /"version": "/
  return [
    ['package.json', inManifest],
    ['package-lock.json', /"version": "/],
    ['package-lock.json', /"packages": \{\s+"": \{\s+"name": "nodepoll",\s+"version": "/],
    ...[...platformFolders().keys()].map((name) => [`npm/${name}/package.json`, inManifest]),
    // They want nodepoll of their own version.
    ...[...frameworkFolders().keys()].flatMap((name) => [
      [`packages/${name}/package.json`, inManifest],
      [`packages/${name}/package.json`, /"nodepoll": "\^/],
      [`packages/${name}/package-lock.json`, inManifest],
      [`packages/${name}/package-lock.json`, /"nodepoll": "\^/],
      [
        `packages/${name}/package-lock.json`,
        /"packages": \{\s+"": \{\s+"name": "[^"]+",\s+"version": "/,
      ],
    ]),
    ['Cargo.toml', /\[workspace\.package\]\nversion = "/],
    ...crates.map((name) => ['Cargo.lock', new RegExp(`\\nname = "${name}"\\nversion = "`)]),
    ['lib/native/load.ts', /export const VERSION = '/],
  ]
}

/** The version at each place. */
export function versions() {
  return Object.fromEntries(
    places().map(([file, before]) => {
      const text = readFileSync(join(root, file), 'utf8')
      return [`${file}, after ${before.source}`, find(file, text, before).version]
    }),
  )
}

function find(file, text, before) {
  const match = before.exec(text)
  if (match === null) throw new PlainError(`${file} has no version after ${before.source}`)
  const start = match.index + match[0].length
  return { start, version: /^[^"']*/.exec(text.slice(start))[0] }
}

function setVersion(version) {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
    throw new PlainError('Which version? Like this: npm run release:version 1.2.3')
  }
  for (const [file, before] of places()) {
    const path = join(root, file)
    const text = readFileSync(path, 'utf8')
    const { start, version: old } = find(file, text, before)
    writeFileSync(path, text.slice(0, start) + version + text.slice(start + old.length))
  }
  const path = join(root, 'CHANGELOG.md')
  const today = new Date().toISOString().slice(0, 10)
  const heading = `## [Unreleased]\n\n## [${version}] - ${today}`
  writeFileSync(path, readFileSync(path, 'utf8').replace('## [Unreleased]', heading))
}

if (isMain(import.meta.url)) await runScript(() => setVersion(process.argv[2] ?? ''))
