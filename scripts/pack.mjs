// Makes the tarballs that are published, and nothing is published that was not made here.
//
//   node scripts/pack.mjs                    with the native library built here
//   node scripts/pack.mjs --artifacts DIR    with every platform's library from DIR
//
//   --repository URL    where the sources are: provenance wants to see it in each package
//   --list              prints what they contain: testdata/package-contents.txt
//
// They come to target/packages/. What is in npm/ is filled with libraries and licences; in nodepoll
// the platform packages become optional dependencies. The packages for frameworks are built first.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { parseArgs } from 'node:util'

import { problemOfAge, problemsOfBinary } from './binary.mjs'
import { frameworkFolders, platformFolders, readManifest, root } from './packages.mjs'
import { PlainError } from './requirements.mjs'
import { isMain, runScript, setupFrameworks } from './setup.mjs'

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

/**
 * Packs `main`, which is nodepoll, and lists of `platforms` and `frameworks`. The result says of
 * each package its `name`, the path of its `tarball`, its `files` and its unpacked size.
 */
export async function pack({ artifacts, repository } = {}) {
  rmSync(output, { recursive: true, force: true })
  const libraries = artifacts === undefined ? builtLibraries() : artifactLibraries(artifacts)
  await setupFrameworks()
  return {
    main: tarballOf(stageMain(repository)),
    platforms: libraries.map(({ platform, path }) =>
      tarballOf(stagePlatform(platform, path, repository)),
    ),
    frameworks: [...frameworkFolders().values()].map((folder) =>
      tarballOf(stageFramework(folder, repository)),
    ),
  }
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

function stageMain(repository) {
  const { version } = readManifest(root)
  const optionalDependencies = Object.fromEntries(
    [...platformFolders().values()].map((each) => [readManifest(each).name, version]),
  )
  return stageBuilt(root, repository, { optionalDependencies })
}

function stageFramework(source, repository) {
  const { status, stdout, stderr } = npm(['run', '--silent', 'build'], source)
  if (status !== 0) throw new PlainError(`${source} could not be built:\n${stdout}${stderr}`)
  return stageBuilt(source, repository)
}

/** A package of what was built into dist/. */
function stageBuilt(source, repository, more = {}) {
  const manifest = readManifest(source)
  const unknown = Object.keys(manifest).filter((key) => ![...published, ...ours].includes(key))
  if (unknown.length > 0) throw new PlainError(`Is this to be published: ${unknown.join()}?`)
  const kept = Object.fromEntries(published.map((key) => [key, manifest[key]]))
  const folder = stage(manifest.name)
  write(folder, { ...kept, ...linksTo(repository, source), ...more })
  cpSync(join(source, 'README.md'), join(folder, 'README.md'))
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  cpSync(join(source, 'dist'), join(folder, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.node'),
  })
  return folder
}

function stagePlatform(platform, library, repository) {
  const source = platformFolders().get(platform)
  const manifest = readManifest(source)
  const problems = problemsOfBinary(library, manifest)
  if (problems.length > 0) throw new PlainError(problems.join('\n'))
  const folder = stage(manifest.name)
  write(folder, { ...manifest, ...linksTo(repository, source) })
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

/** What a package says of where it comes from, if that is known: the folder `source` of `url`. */
function linksTo(url, source) {
  if (url === undefined) return {}
  const bugs = `${url}/issues`
  const repository = { type: 'git', url: `git+${url}.git` }
  const directory = relative(root, source).replaceAll(sep, '/')
  if (directory === '') return { repository, homepage: `${url}#readme`, bugs }
  const homepage = `${url}/tree/HEAD/${directory}#readme`
  return { repository: { ...repository, directory }, homepage, bugs }
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
  await runScript(async () => {
    const { values } = parseArgs({
      options: {
        artifacts: { type: 'string' },
        repository: { type: 'string' },
        list: { type: 'boolean' },
      },
    })
    const { main, platforms, frameworks } = await pack(values)
    const packages = [main, ...platforms, ...frameworks]
    if (values.list) return console.log(contentsOf(packages).join('\n'))
    for (const { tarball, bytes } of packages) {
      console.log(`${tarball}  ${(bytes / 1024).toFixed(0)} KiB unpacked`)
    }
  })
}
