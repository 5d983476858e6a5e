// Makes the tarballs that are published, and nothing is published that was not made here.
//
//   node scripts/pack.mjs                    nodepoll, and the native library built here
//   node scripts/pack.mjs --artifacts DIR    nodepoll, and every platform's library from DIR
//
//   --repository URL    where the sources are: provenance wants to see it in each package
//   --list              prints what they contain: testdata/package-contents.txt
//
// They come to target/packages/. What is in npm/ is filled with libraries, licences and the
// version; in the package of JavaScript the platform packages become optional dependencies.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { problemOfAge, problemsOfBinary } from './binary.mjs'
import { PlainError } from './requirements.mjs'
import { isMain, runScript } from './setup.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const output = join(root, 'target/packages')

/** What comes with each library, since others' works are compiled into it. */
const NOTICES = 'THIRD-PARTY-NOTICES.txt'

/** What a package needs of package.json; the rest is for those who work on it. */
const published = [
  'name',
  'version',
  'description',
  'keywords',
  'license',
  'type',
  'engines',
  'main',
  'types',
  'exports',
  'typesVersions',
  'bin',
  'files',
  'sideEffects',
  'peerDependencies',
  'peerDependenciesMeta',
]

/** What it does not: only those who work on it do. */
const ours = ['napi', 'scripts', 'devDependencies', 'ava']

export function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** The folders of the platform packages, by platform: `linux-x64-gnu` … */
export function platformFolders() {
  const names = readdirSync(join(root, 'npm')).toSorted()
  return new Map(names.map((name) => [name, join(root, 'npm', name)]))
}

/**
 * Packs. The result says of each package its `name`, the path of its `tarball`, its `files` and
 * its unpacked size.
 */
export function pack({ artifacts, repository } = {}) {
  rmSync(output, { recursive: true, force: true })
  const links = repository === undefined ? {} : linksTo(repository)
  const libraries = artifacts === undefined ? builtLibraries() : artifactLibraries(artifacts)
  const main = stageMain(links)
  const platforms = libraries.map(({ platform, path }) => stagePlatform(platform, path, links))
  return [main, ...platforms].map(tarballOf)
}

/** The libraries that were built here: usually one. */
function builtLibraries() {
  const folder = join(root, 'lib/native')
  const found = [...platformFolders().keys()]
    .map((platform) => ({ platform, path: join(folder, `nodepoll.${platform}.node`) }))
    .filter(({ path }) => existsSync(path))
  if (found.length === 0) throw new PlainError('There is no native library: `npm run setup` first.')
  return found
}

/** Every platform's library, each for what its package says, and none for systems too new. */
function artifactLibraries(folder) {
  const files = readdirSync(folder, { recursive: true })
  const libraries = [...platformFolders().keys()].map((platform) => {
    const name = files.find((file) => file.endsWith(`nodepoll.${platform}.node`))
    if (name === undefined)
      throw new PlainError(`There is no library for ${platform} in ${folder}.`)
    return { platform, path: join(folder, name) }
  })
  const tooNew = libraries.map(({ path }) => problemOfAge(path)).filter(Boolean)
  if (tooNew.length > 0) throw new PlainError(tooNew.join('\n'))
  return libraries
}

function stageMain(links) {
  const manifest = readManifest(root)
  const folder = stage(manifest.name)
  const optionalDependencies = Object.fromEntries(
    [...platformFolders().values()].map((each) => [readManifest(each).name, manifest.version]),
  )
  const unknown = Object.keys(manifest).filter((key) => ![...published, ...ours].includes(key))
  if (unknown.length > 0) throw new PlainError(`Is this to be published: ${unknown.join()}?`)
  const kept = Object.fromEntries(published.map((key) => [key, manifest[key]]))
  write(folder, { ...kept, ...links, optionalDependencies })
  for (const name of ['README.md', 'LICENSE']) cpSync(join(root, name), join(folder, name))
  cpSync(join(root, 'dist'), join(folder, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.node'),
  })
  return folder
}

function stagePlatform(platform, library, links) {
  const source = platformFolders().get(platform)
  const manifest = readManifest(source)
  const problems = problemsOfBinary(library, manifest)
  if (problems.length > 0) throw new PlainError(problems.join('\n'))
  const folder = stage(manifest.name)
  write(folder, { ...manifest, ...links })
  cpSync(join(source, 'README.md'), join(folder, 'README.md'))
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  cpSync(join(root, NOTICES), join(folder, NOTICES))
  cpSync(library, join(folder, manifest.main))
  return folder
}

function stage(name) {
  const folder = join(output, 'staged', name)
  mkdirSync(folder, { recursive: true })
  return folder
}

function write(folder, manifest) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
}

function linksTo(url) {
  return {
    repository: { type: 'git', url: `git+${url}.git` },
    homepage: `${url}#readme`,
    bugs: `${url}/issues`,
  }
}

function tarballOf(folder) {
  const result = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', output], folder)
  if (result.status !== 0) throw new PlainError(`npm pack failed:\n${result.stderr}`)
  const [{ name, filename, files, unpackedSize }] = Object.values(JSON.parse(result.stdout))
  const paths = files.map(({ path }) => path).toSorted()
  return { name, folder, tarball: join(output, filename), files: paths, bytes: unpackedSize }
}

/** Runs npm; `npm run` tells where it is, and without it it is on the path. */
export function npm(args, cwd, env = process.env) {
  const cli = process.env.npm_execpath
  const [command, ...first] = cli?.endsWith('.js') ? [process.execPath, cli] : ['npm']
  const shell = process.platform === 'win32' && command === 'npm'
  return spawnSync(command, [...first, ...args], { cwd, env, encoding: 'utf8', shell })
}

/**
 * What the packages contain, sorted. What the compiler makes of one source is one line, and of the
 * platforms' packages only the platform differs.
 */
export function contentsOf(packages) {
  const lines = packages.flatMap(({ name, files }) => {
    const platform = /native-(.*)$/.exec(name)?.[1]
    const paths = files.map((path) => `${name}/${path}`)
    return platform === undefined ? paths : paths.map((path) => path.replaceAll(platform, '*'))
  })
  const all = new Set(lines)
  for (const path of lines.filter((each) => each.endsWith('.js.map'))) {
    const stem = path.slice(0, -'.js.map'.length)
    const compiled = ['.d.ts', '.js', '.js.map'].map((ending) => stem + ending)
    if (!compiled.every((each) => all.has(each))) continue
    for (const each of compiled) all.delete(each)
    all.add(`${stem}.{d.ts,js,js.map}`)
  }
  return [...all].toSorted()
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const { values } = parseArgs({
      options: {
        artifacts: { type: 'string' },
        repository: { type: 'string' },
        list: { type: 'boolean' },
      },
    })
    const packages = pack(values)
    if (values.list) return console.log(contentsOf(packages).join('\n'))
    for (const { tarball, bytes } of packages) {
      console.log(`${tarball}  ${(bytes / 1024).toFixed(0)} KiB unpacked`)
    }
  })
}
