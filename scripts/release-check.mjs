// npm run release:check: whether what is released fits together.
//
//   node scripts/release-check.mjs                   what must hold at any time
//   node scripts/release-check.mjs --tag v1.2.3      and what must hold when that is released
//   node scripts/release-check.mjs --artifacts DIR   and of the libraries that go into the packages
//
// cargo-deny, actionlint and the registry's audit are asked if they are there, and skipped if not:
// in .github/workflows/ all of them are.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { describeBinary, problemOfAge, problemsOfBinary } from './binary.mjs'
import { Checks } from './checks.mjs'
import { areNoticesCurrent } from './notices.mjs'
import { npm } from './pack.mjs'
import { entriesOf, frameworkFolders, platformFolders, readManifest, root } from './packages.mjs'
import { runScript } from './setup.mjs'
import { versions } from './versions.mjs'

const { values: options } = parseArgs({
  options: { tag: { type: 'string' }, artifacts: { type: 'string' } },
})
const checks = new Checks()
await runScript(async () => {
  await checkVersions()
  await checkEntries()
  await checkPlatforms()
  await checkFrameworks()
  await checkTools()
  if (options.artifacts !== undefined) await checkArtifacts(options.artifacts)
  if (options.tag !== undefined) await checkTag(options.tag)
})
checks.end()

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what} is ${actual}, and not ${expected}`)
}

async function checkVersions() {
  const { version } = readManifest(root)
  await checks.that('the version is the same everywhere', () => {
    const all = Object.entries(versions())
    for (const [place, found] of all) equal(found, version, `the version in ${place}`)
    return `${version} in ${all.length} places`
  })
}

/** Each entry is there in both formats, with types, also for compilers that know no `exports`. */
async function checkEntries() {
  for (const folder of [root, ...frameworkFolders().values()]) {
    const manifest = readManifest(folder)
    await checks.that(`the entries of ${manifest.name} are where they are built`, () => {
      const [main, ...others] = entriesOf(manifest).map((entry) => `${entry.folder}index`)
      const exported = [main, ...others].map((index) => [pathOf(index), formatsOf(index)])
      const older = others.map((index) => [pathOf(index).slice(2), [`./dist/${index}.d.cts`]])
      const all = { ...Object.fromEntries(exported), './package.json': './package.json' }
      same(manifest.exports, all, 'exports')
      same(manifest.typesVersions?.['*'] ?? {}, Object.fromEntries(older), 'typesVersions')
      equal(manifest.main, `./dist/${main}.cjs`, 'main')
      equal(manifest.types, `./dist/${main}.d.cts`, 'types')
      return exported.map(([path]) => path).join(', ')
    })
  }
}

/** How `exports` calls what is imported: `.` is in `index`, `./rpc` in `rpc/index`. */
function pathOf(index) {
  return `./${index}`.replace(/\/index$/, '')
}

function formatsOf(index) {
  return {
    import: { types: `./dist/${index}.d.ts`, default: `./dist/${index}.js` },
    require: { types: `./dist/${index}.d.cts`, default: `./dist/${index}.cjs` },
  }
}

function same(actual, expected, what) {
  equal(JSON.stringify(actual), JSON.stringify(expected), what)
}

/** Names of targets, folders and loader agree, and each package is for what its name says. */
async function checkPlatforms() {
  const { napi, engines, license } = readManifest(root)
  await checks.that('there is a package for each target, and the loader knows it', () => {
    const folders = [...platformFolders().keys()].join()
    equal(napi.targets.map(platformOf).toSorted().join(), folders, 'the list of targets')
    const loader = readFileSync(join(root, 'lib/native/load.ts'), 'utf8')
    const known = [...loader.matchAll(/^ {2}'(.*)': .*'@nodepoll\/native-\1'/gm)]
    equal(
      known
        .map(([, name]) => name)
        .toSorted()
        .join(),
      folders,
      "the loader's list",
    )
  })
  for (const [platform, folder] of platformFolders()) {
    await checks.that(`npm/${platform} is a package for what its name says`, () => {
      const manifest = readManifest(folder)
      const [os, cpu, abi] = platform.split('-')
      const libc = { gnu: 'glibc', musl: 'musl' }[abi]
      equal(manifest.name, `${napi.packageName}-${platform}`, 'its name')
      equal(manifest.main, `${napi.binaryName}.${platform}.node`, 'its main file')
      equal(manifest.files.join(), `${manifest.main},THIRD-PARTY-NOTICES.txt`, 'what is in it')
      equal(manifest.os.join(), os, 'its system')
      equal(manifest.cpu.join(), cpu, 'its processor')
      equal(manifest.libc?.join(), libc, 'its libc')
      equal(manifest.engines.node, engines.node, 'the Node it needs')
      equal(manifest.license, license, 'its license')
      for (const field of ['scripts', 'dependencies', 'optionalDependencies']) {
        equal(manifest[field], undefined, field)
      }
    })
  }
}

/** The packages for frameworks need nothing but peers, and these are what their code imports. */
async function checkFrameworks() {
  const { engines, license, version } = readManifest(root)
  for (const [framework, folder] of frameworkFolders()) {
    await checks.that(`packages/${framework} needs what it imports, as peers, and no more`, () => {
      const manifest = readManifest(folder)
      equal(manifest.name, `@nodepoll/${framework}`, 'its name')
      equal(manifest.engines.node, engines.node, 'the Node it needs')
      equal(manifest.license, license, 'its license')
      equal(manifest.peerDependencies.nodepoll, `^${version}`, 'the nodepoll it needs')
      for (const field of ['dependencies', 'optionalDependencies', 'bundleDependencies']) {
        equal(manifest[field], undefined, field)
      }
      const peers = Object.keys(manifest.peerDependencies).toSorted()
      equal(peers.join(), importsOf(join(folder, 'lib')).join(), 'the list of its peers')
      return peers.join(', ')
    })
  }
}

/** The packages that files of a folder import. */
function importsOf(folder) {
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  const imports = texts.flatMap((text) => [...text.matchAll(/^(?:import\b.*|\}) from '([^']+)'/gm)])
  const packages = imports
    .map(([, path]) => /^(?:@[^/]+\/)?[^/]+/.exec(path)[0])
    .filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
  return [...new Set(packages)].toSorted()
}

/** By the conventions of napi-rs: `x86_64-unknown-linux-gnu` is `linux-x64-gnu`. */
function platformOf(target) {
  const [processor, , system, abi] = target.replace('-pc-', '-unknown-').split('-')
  const os = { windows: 'win32' }[system] ?? system
  const cpu = { x86_64: 'x64', aarch64: 'arm64' }[processor]
  return [os, cpu, abi].filter(Boolean).join('-')
}

async function checkTools() {
  await checks.that('THIRD-PARTY-NOTICES.txt names what is compiled in', () => {
    if (!areNoticesCurrent()) throw new Error('run `npm run notices`')
  })
  await checks.that('cargo-deny agrees with licences, sources and duplicates', () =>
    ask('cargo', ['deny', '--offline', 'check', 'licenses', 'bans', 'sources'], /no such command/),
  )
  await checks.that('actionlint has nothing to say about the workflows', () => {
    const folder = join(root, '.github/workflows')
    return ask(
      'actionlint',
      readdirSync(folder).map((name) => join(folder, name)),
    )
  })
  await checks.that('npm knows of no hole in what the package needs at run time', () => {
    const { status, stdout, stderr } = npm(['audit', '--omit=dev'], root)
    if (/audit endpoint returned an error/.test(stderr)) return 'skipped: the registry has no audit'
    if (status !== 0) throw new Error(stdout)
    return undefined
  })
}

/** Runs a tool that need not be there; `missing` is what cargo says then. */
function ask(command, args, missing) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
  })
  if (error?.code === 'ENOENT' || missing?.test(stderr)) return 'skipped: it is not installed'
  if (error) throw error
  if (status !== 0) throw new Error(stdout + stderr)
  return undefined
}

async function checkArtifacts(folder) {
  const files = readdirSync(folder, { recursive: true })
  for (const [platform, source] of platformFolders()) {
    await checks.that(`the library for ${platform} runs where it should`, () => {
      const name = files.find((file) => file.endsWith(`nodepoll.${platform}.node`))
      if (name === undefined) throw new Error('it is missing')
      const path = join(folder, name)
      const problems = [...problemsOfBinary(path, readManifest(source)), problemOfAge(path)]
      if (problems.some(Boolean)) throw new Error(problems.filter(Boolean).join('\n'))
      const { bytes, glibc } = describeBinary(path)
      return `${bytes} bytes${glibc === undefined ? '' : `, glibc ${glibc}`}`
    })
  }
}

async function checkTag(tag) {
  const { version } = readManifest(root)
  await checks.that('the tag is that of the version', () => equal(tag, `v${version}`, 'the tag'))
  await checks.that('CHANGELOG.md has a dated section of the version, and it is the first', () => {
    const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8')
    const sections = [...changelog.matchAll(/^## \[(.*?)\](.*)$/gm)]
    const [, name, date] = sections.find(([, each]) => each !== 'Unreleased') ?? []
    equal(name, version, 'the first section')
    if (!/^ - \d{4}-\d{2}-\d{2}$/.test(date)) throw new Error(`its date is "${date}"`)
  })
}
