// npm run servers: brings the real servers that the tests of clients need, where they are not there
// already. Tests without their server are skipped, but in CI they fail.
//
// The packages of Debian are unpacked into a folder, not installed: that needs no root, starts no
// service, and changes nothing of the machine, also not what apt knows of it. Which ones are needed
// for what the machine has, and where to get them from, apt knows best, with lists of its own in
// that folder.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

import { PlainError } from './requirements.mjs'
import { isMain, runScript, setupFolder } from './setup.mjs'

/**
 * What each is made of: the programs that the tests start, and the packages that have them. What
 * these depend on comes by itself, unless the machine has it: that is why packages are named that
 * another one would bring.
 */
const servers = {
  redis: { programs: ['redis-server'], packages: ['redis-server', 'redis-tools'] },
  postgres: { programs: ['postgres', 'initdb'], packages: ['postgresql'] },
  mariadb: {
    programs: ['mariadbd', 'mariadb-install-db'],
    packages: ['mariadb-server-core', 'mariadb-client-core'],
  },
  mosquitto: { programs: ['mosquitto'], packages: ['mosquitto'] },
}

/** Where a server of PostgreSQL is, below the root: a folder for each version. */
const POSTGRES = 'usr/lib/postgresql'

const cache = cacheFolder()
const unpacked = join(cache, 'root')

/**
 * The programs of a server by their names, and what has to be in the environment of each; nothing
 * if one is missing. What the machine has goes before what was unpacked.
 */
export function findServer(name) {
  const path = (process.env.PATH ?? '').split(delimiter)
  const found = findAll(name, [...path, ...foldersIn('/')])
  if (found !== undefined) return { programs: found, environment: {} }
  const own = findAll(name, foldersIn(unpacked))
  return own && { programs: own, environment: { LD_LIBRARY_PATH: libraries().join(delimiter) } }
}

/** Whether a test without its server has to fail: in CI, where `npm run servers` can bring it. */
export const mustHaveServers = Boolean(process.env.CI) && hasApt()

/** Says how a server that is missing comes to be there. */
export function adviceFor(name) {
  const [program] = servers[name].programs
  const how = hasApt() ? '`npm run servers` brings it' : 'install it, so that it is in the PATH'
  return `${program} is not there: ${how}`
}

function findAll(name, folders) {
  const found = servers[name].programs.map((program) => [
    program,
    folders.map((folder) => join(folder, program)).find(isExecutable),
  ])
  return found.every(([, path]) => path !== undefined) ? Object.fromEntries(found) : undefined
}

function foldersIn(root) {
  const versions = namesIn(join(root, POSTGRES)).toSorted((a, b) => b - a)
  return ['usr/bin', 'usr/sbin', ...versions.map((version) => `${POSTGRES}/${version}/bin`)].map(
    (folder) => join(root, folder),
  )
}

function libraries() {
  return ['lib', 'usr/lib'].flatMap((folder) =>
    namesIn(join(unpacked, folder))
      .filter((name) => name.includes('-linux-gnu'))
      .map((name) => join(unpacked, folder, name)),
  )
}

function namesIn(folder) {
  return existsSync(folder) ? readdirSync(folder) : []
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function hasApt() {
  return process.platform === 'linux' && existsSync('/usr/bin/apt-get')
}

/**
 * Root starts servers as somebody else, who has to be able to enter the folder of the repository.
 * If not, it is one that only root can write to.
 */
function cacheFolder() {
  const isOpen = process.getuid?.() !== 0 || isOpenToAll(setupFolder)
  return isOpen ? join(setupFolder, 'servers') : '/var/cache/nodepoll/servers'
}

/** Whether everybody can enter a folder and those that it is in. */
function isOpenToAll(folder) {
  const isOpen = !existsSync(folder) || (statSync(folder).mode & 0o001) !== 0
  return isOpen && (dirname(folder) === folder || isOpenToAll(dirname(folder)))
}

function fetchMissing() {
  const missing = Object.keys(servers).filter((name) => findServer(name) === undefined)
  if (missing.length > 0) {
    if (!hasApt()) throw new PlainError(missing.map(adviceFor).join('\n'))
    unpack(missing.flatMap((name) => servers[name].packages))
  }
  for (const name of Object.keys(servers)) console.log(describe(name))
}

/** Where a server is, and proof that its programs find their libraries. */
function describe(name) {
  const found = findServer(name)
  if (found === undefined) throw new PlainError(`The packages of ${name} are without its programs.`)
  const paths = Object.values(found.programs)
  for (const path of paths) {
    const env = { ...process.env, ...found.environment }
    const { status, stderr } = spawnSync(path, ['--version'], { env, encoding: 'utf8' })
    // That of a loader without a library, and of a shell without a program.
    if (status === null || status === 127) throw new PlainError(`${path} does not run:\n${stderr}`)
  }
  return `${name}: ${paths[0]}`
}

/** Unpacks packages and what they depend on, as far as the machine has it not. */
function unpack(packages) {
  const archives = join(cache, 'archives')
  for (const folder of ['lists/partial', 'archives/partial']) {
    mkdirSync(join(cache, folder), { recursive: true })
  }
  // Sources that do not answer matter only if they are those that have the packages.
  run(archives, 'apt-get', [...aptOptions(), 'update'], { isOptional: true })
  const plan = ['install', '--simulate', '--no-install-recommends', ...packages]
  const needed = run(archives, 'apt-get', [...aptOptions(), ...plan])
  // Those with a version in brackets are there, and would only be newer.
  const names = [...needed.matchAll(/^Inst (\S+) \(/gm)].map(([, name]) => name)
  const all = [...new Set([...packages, ...names])]
  run(archives, 'apt-get', [...aptOptions(), 'download', ...all])
  for (const file of namesIn(archives).filter((name) => name.endsWith('.deb'))) {
    run(archives, 'dpkg-deb', ['--extract', file, unpacked])
  }
  for (const folder of ['lists', 'archives']) rmSync(join(cache, folder), { recursive: true })
}

function aptOptions() {
  const settings = [
    `Dir::State::Lists=${cache}/lists`,
    `Dir::Cache=${cache}`,
    'Dir::Cache::pkgcache=',
    'Dir::Cache::srcpkgcache=',
    // The lock of the machine's own apt is not ours to take.
    'Debug::NoLocking=1',
    'APT::Sandbox::User=root',
    'Acquire::Retries=3',
  ]
  return ['--quiet', ...settings.flatMap((setting) => ['--option', setting])]
}

function run(cwd, command, args, { isOptional = false } = {}) {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    if (isOptional) return ''
    throw new PlainError(`\`${command} ${args.at(0)}\` failed:\n${error.stderr ?? error.message}`)
  }
}

if (isMain(import.meta.url)) await runScript(fetchMissing)
