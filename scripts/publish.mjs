// Publishes what scripts/pack.mjs has made, with provenance: the libraries first, so that nodepoll
// is never there without them. What the registry has already is left out, so that a run which
// failed half-way can be repeated. Only .github/workflows/release.yml runs it.
//
//   node scripts/publish.mjs [--dry-run]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { npm, output, platformFolders, readManifest, root } from './pack.mjs'
import { PlainError } from './requirements.mjs'
import { isMain, runScript } from './setup.mjs'

function publishAll(isDry) {
  const { version } = readManifest(root)
  const [main, ...libraries] = readdirSync(output)
    .filter((file) => file.endsWith('.tgz'))
    .toSorted((a, b) => a.length - b.length)
  const count = platformFolders().size
  if (libraries.length !== count) {
    throw new PlainError(`There are ${libraries.length} packages of libraries, and not ${count}.`)
  }
  for (const file of [...libraries, main]) publish(file, version, isDry)
  writeFileSync(join(output, 'notes.md'), notesOf(version))
}

function publish(file, version, isDry) {
  const name = file.replace(`-${version}.tgz`, '').replace('nodepoll-native', '@nodepoll/native')
  if (npm(['view', `${name}@${version}`, 'version'], root).stdout.trim() === version) {
    console.log(`${name}@${version} is published already`)
    return
  }
  // A version such as 1.0.0-beta.1 is only for those who ask for it.
  const tag = version.includes('-') ? 'next' : 'latest'
  const how = isDry ? ['--dry-run'] : ['--provenance']
  const args = ['publish', join(output, file), '--access', 'public', '--tag', tag, ...how]
  const { status, stderr } = npm(args, root)
  if (status !== 0) throw new PlainError(`npm publish failed:\n${stderr}`)
  console.log(`${name}@${version} ${isDry ? 'would be' : 'is'} published as ${tag}`)
}

/** What CHANGELOG.md says of a version. */
function notesOf(version) {
  const sections = readFileSync(join(root, 'CHANGELOG.md'), 'utf8').split(/^(?=## )/m)
  const section = sections.find((text) => text.startsWith(`## [${version}]`))
  return section?.replace(/^.*\n+/, '') ?? `Version ${version}\n`
}

if (isMain(import.meta.url)) {
  await runScript(() => publishAll(process.argv.includes('--dry-run')))
}
