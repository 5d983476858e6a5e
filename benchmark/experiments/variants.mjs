// Builds nodepoll with other limits or other code, in a copy of the tree: what is shipped needs no
// switch for the sake of experiments. All is kept in .setup/experiments/:
//
//   tree/     the copy, with a target directory of its own, so that builds are warm
//   native/   native libraries, by the hash of what they were made from
//   built/    whole variants, likewise
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { PlainError } from '../../scripts/requirements.mjs'
import { setupFolder } from '../../scripts/setup.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const patches = fileURLToPath(new URL('patches', import.meta.url))
const place = join(setupFolder, 'experiments')
const tree = join(place, 'tree')

const nativeSources = ['Cargo.toml', 'Cargo.lock', 'crates', 'benchmark/loadgen']
const sources = nativeSources.concat(
  'lib',
  'scripts/build.mjs',
  'scripts/compile.mjs',
  'scripts/packages.mjs',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
)

/** Where limits are, by the side that they belong to. */
const limitFiles = {
  linkbuf: 'crates/linkbuf/src/limits.rs',
  core: 'crates/nodepoll/src/limits.rs',
  lib: 'lib/internal/limits.ts',
}

/**
 * Builds a variant and returns the folder that has its `dist/`. A variant is
 * `{ limits?, patches? }`: by side the limits that differ, as source text, and names of patches.
 * One that was built before from the same sources is not built again.
 */
export function buildVariant(variant) {
  const files = filesOf(variant)
  const built = join(
    place,
    'built',
    hashOf(files, () => true),
  )
  if (existsSync(join(built, 'dist/index.cjs'))) return built
  writeTree(files)
  buildNative(hashOf(files, (path) => nativeSources.some((source) => path.startsWith(source))))
  runIn(tree, process.execPath, ['scripts/build.mjs'])
  mkdirSync(built, { recursive: true })
  for (const name of ['dist', 'package.json']) {
    cpSync(join(tree, name), join(built, name), { recursive: true })
  }
  return built
}

/** The text of a file of limits with another value for one of them. */
export function withLimit(text, name, value) {
  const pattern = new RegExp(
    `^((?:pub(?:\\(crate\\))?|export) const ${name}\\b[^=]*= )[^;\\n]+`,
    'm',
  )
  if (!pattern.test(text)) throw new PlainError(`there is no limit ${name}`)
  return text.replace(pattern, (_, declaration) => `${declaration}${value}`)
}

/** The file of limits of a side. */
export function limitFile(side) {
  return join(root, limitFiles[side])
}

export function patchFile(name) {
  return join(patches, `${name}.patch`)
}

/** All sources of a variant, by their path. */
function filesOf({ limits = {}, patches: names = [] }) {
  const listing = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--']
  const paths = execFileSync('git', [...listing, ...sources], { cwd: root, encoding: 'utf8' })
  const files = new Map()
  for (const path of new Set(paths.split('\0'))) {
    if (path !== '' && existsSync(join(root, path))) files.set(path, readFileSync(join(root, path)))
  }
  for (const name of names) applyPatch(files, name)
  for (const [side, values] of Object.entries(limits)) {
    const path = limitFiles[side]
    for (const [name, value] of Object.entries(values)) {
      files.set(path, Buffer.from(withLimit(files.get(path).toString(), name, value)))
    }
  }
  return files
}

/** Applies a patch to the files that it names, in a folder that has nothing but these. */
function applyPatch(files, name) {
  const patch = readFileSync(patchFile(name), 'utf8')
  const paths = [...patch.matchAll(/^\+\+\+ b\/(.+)$/gm)].map(([, path]) => path)
  const folder = join(place, 'patching')
  rmSync(folder, { recursive: true, force: true })
  for (const path of paths) writeFile(join(folder, path), files.get(path))
  // Git must not take the folder for a part of this repository, whose paths are others.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: place }
  runIn(folder, 'git', ['apply', patchFile(name)], env)
  for (const path of paths) files.set(path, readFileSync(join(folder, path)))
}

/** Makes the copy the same as `files`. What is the same already stays untouched, for cargo. */
function writeTree(files) {
  for (const folder of ['crates', 'lib']) removeOthers(folder, files)
  for (const [path, content] of files) {
    const target = join(tree, path)
    if (!existsSync(target) || !readFileSync(target).equals(content)) writeFile(target, content)
  }
  const modules = join(tree, 'node_modules')
  if (!existsSync(modules)) symlinkSync(join(root, 'node_modules'), modules, 'dir')
  const warm = join(root, 'target/release')
  if (existsSync(join(tree, 'target')) || !existsSync(warm)) return
  cpSync(warm, join(tree, 'target/release'), { recursive: true, preserveTimestamps: true })
}

function removeOthers(folder, files) {
  const path = join(tree, folder)
  if (!existsSync(path)) return
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const name = `${folder}/${entry.name}`
    if (entry.isDirectory()) removeOthers(name, files)
    else if (!files.has(name)) rmSync(join(tree, name))
  }
}

function buildNative(hash) {
  const kept = join(place, 'native', hash)
  const folder = join(tree, 'lib/native')
  if (!existsSync(kept)) {
    runIn(tree, 'npm', ['run', '--silent', 'build:native'])
    for (const name of bindingFiles(folder)) copy(folder, kept, name)
  }
  for (const name of bindingFiles(kept)) copy(kept, folder, name)
}

/** What the native build writes, but for what is in the repository. */
function bindingFiles(folder) {
  return readdirSync(folder).filter((name) => name === 'binding.d.cts' || name.endsWith('.node'))
}

function copy(from, to, name) {
  mkdirSync(to, { recursive: true })
  cpSync(join(from, name), join(to, name))
}

function writeFile(path, content) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

function hashOf(files, isMeant) {
  const hash = createHash('sha256')
  for (const [path, content] of files) {
    if (isMeant(path)) hash.update(`${path}\0`).update(content).update('\0')
  }
  return hash.digest('hex').slice(0, 16)
}

function runIn(folder, command, args, env = process.env) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    env,
    encoding: 'utf8',
  })
  if (status === 0) return
  throw new PlainError(`${stdout ?? ''}${stderr ?? ''}\n\`${command} ${args.join(' ')}\` failed.`)
}
