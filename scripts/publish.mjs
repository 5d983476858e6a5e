// Publishes what scripts/pack.mjs has made, with provenance: the libraries first and the packages
// for frameworks last, so that nothing is ever there without what it needs. What the registry has
// already is left out, so that a run which failed half-way can be repeated. Only
// .github/workflows/release.yml runs it.
//
//   node scripts/publish.mjs [--dry-run]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { npm, output } from './pack.mjs'
import { frameworkFolders, platformFolders, readManifest, root } from './packages.mjs'
import { PlainError } from './requirements.mjs'
import { isMain, runScript } from './setup.mjs'

function publishAll(isDry) {
  const { version } = readManifest(root)
  const folders = [...platformFolders().values(), root, ...frameworkFolders().values()]
  const names = folders.map((folder) => readManifest(folder).name)
  const files = names.map((name) => fileOf(name, version))
  const found = readdirSync(output).filter((file) => file.endsWith('.tgz'))
  const missing = files.filter((file) => !found.includes(file))
  const unknown = found.filter((file) => !files.includes(file))
  if (missing.length + unknown.length > 0) {
    throw new PlainError(
      `Missing: ${missing.join() || 'none'}. Unknown: ${unknown.join() || 'none'}.`,
    )
  }
  for (const [index, name] of names.entries()) publish(name, files[index], version, isDry)
  writeFileSync(join(output, 'notes.md'), notesOf(version))
}

/** What npm calls the tarball of a package. */
function fileOf(name, version) {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
}

function publish(name, file, version, isDry) {
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
