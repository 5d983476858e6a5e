import { execFile, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { VERSION } from '../lib/native/load.ts'
import { interpreterOf } from '../lib/native/elf.ts'
import { libcOf, platformName } from '../lib/native/platform.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const platform = platformName()
const file = `nodepoll.${platform}.node`
const built = join(root, 'lib/native', file)
const packageName = `@nodepoll/native-${platform}`

/** An error as a program sees it that imports the package. */
interface Failure {
  readonly code: string
  readonly name: string
  readonly message: string
  readonly cause: string
  readonly causes: readonly string[]
}

/** Prints what importing the package ends with. */
const program = `
  let failure
  try {
    const { serve } = await import('nodepoll')
    const server = await serve({ host: '127.0.0.1', port: 0 })
    await server.shutdown()
  } catch (error) {
    const { code, name, message, cause, errors } = error
    failure = { code, name, message, cause: cause.message, causes: errors.map((e) => e.message) }
  }
  console.log(JSON.stringify(failure ?? null))
`

/** A folder into which nodepoll is installed, without a native library. */
function installation(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nodepoll-installed-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const home = join(folder, 'node_modules/nodepoll')
  cpSync(join(root, 'dist'), join(home, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.node'),
  })
  copyFileSync(join(root, 'package.json'), join(home, 'package.json'))
  writeFileSync(join(folder, 'main.mjs'), program)
  return folder
}

/** Installs the platform package with these bytes for a library. */
function installPlatform(folder: string, name: string, bytes: Uint8Array | string): void {
  const home = join(folder, 'node_modules', packageName)
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), JSON.stringify({ name: packageName, main: name }))
  writeFileSync(join(home, name), bytes)
  chmodSync(join(home, name), 0o755)
}

async function run(folder: string, environment: NodeJS.ProcessEnv = {}): Promise<Failure | null> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'main.mjs')], {
    env: { ...process.env, NODE_OPTIONS: '', NAPI_RS_NATIVE_LIBRARY_PATH: '', ...environment },
  })
  return JSON.parse(stdout) as Failure | null
}

/** Asserts what every such error has to say, and gives what is particular. */
function told(t: ExecutionContext, failure: Failure | null): Failure {
  if (failure === null) throw t.fail('the library was loaded')
  t.is(failure.code, 'ERR_NODEPOLL_NATIVE_LIBRARY')
  t.is(failure.name, 'NodepollError')
  const { platform: system, arch, version } = process
  t.regex(failure.message, new RegExp(`for ${system} ${arch}\\b.*, Node ${version.slice(1)}:`))
  if (system === 'linux') t.regex(failure.message, /with (glibc \d+\.\d+|musl), /)
  for (const cause of failure.causes) t.true(failure.message.includes(cause), cause)
  t.true(failure.causes.includes(failure.cause))
  return failure
}

test('H112: with the platform package the library is loaded from it', async (t) => {
  const folder = installation(t)
  installPlatform(folder, file, readFileSync(built))
  t.is(await run(folder), null)
})

test('H112: without the platform package the error names it, and how to get it', async (t) => {
  const { message, causes, cause } = told(t, await run(installation(t)))
  t.is(causes.length, 2)
  t.true(causes[0]?.includes(`${file}: Cannot find module`), causes[0])
  t.is(causes[1], `${packageName}: Cannot find module '${packageName}'`)
  t.is(cause, causes[1] as string)
  t.true(message.includes(`The optional dependency ${packageName} is missing.`), message)
  t.notRegex(message, /Require stack/)
})

test('H112: a library of another architecture is named as the cause', async (t) => {
  const bytes = readFileSync(built)
  if (bytes.readUInt32BE(0) !== 0x7f454c46) {
    t.log('skipped: only libraries of Linux are changed here')
    t.pass()
    return
  }
  const folder = installation(t)
  // S390, which no test runs on.
  bytes.writeUInt16LE(22, 18)
  installPlatform(folder, file, bytes)
  const { message, cause } = told(t, await run(folder))
  t.true(cause.startsWith(`${packageName}: `), cause)
  t.true(cause.endsWith(`${join('node_modules', packageName, file)} is not for ${process.arch}`))
  t.notRegex(message, /is missing/)
})

test('H112: a damaged library is named as the cause', async (t) => {
  const folder = installation(t)
  const bytes = readFileSync(built)
  for (const damaged of ['no library at all', '', bytes.subarray(0, 1000)]) {
    installPlatform(folder, file, damaged)
    const { message, cause } = told(t, await run(folder))
    t.true(cause.startsWith(`${packageName}: `), cause)
    t.true(cause.includes(join('node_modules', packageName, file)), cause)
    t.notRegex(message, /is missing/)
  }
})

test('H112: a library of another release is refused', async (t) => {
  const folder = installation(t)
  const other = "exports.BindingRuntime = { release: () => 'nodepoll (0.0.1)' }"
  installPlatform(folder, 'other.js', other)
  const { cause } = told(t, await run(folder))
  t.is(cause, `${packageName}: it belongs to nodepoll (0.0.1), and this is nodepoll (${VERSION})`)
  installPlatform(folder, 'older.js', '')
  const { cause: older } = told(t, await run(folder))
  t.true(older.startsWith(`${packageName}: it belongs to another release, and`), older)
})

test('H112: a library that the environment names is the only one to be tried', async (t) => {
  const folder = installation(t)
  installPlatform(folder, file, readFileSync(built))
  const environment = { NAPI_RS_NATIVE_LIBRARY_PATH: join(folder, 'nowhere.node') }
  const { causes } = told(t, await run(folder, environment))
  t.is(causes.length, 1)
  t.true(causes[0]?.startsWith(`${join(folder, 'nowhere.node')} (NAPI_RS_`), causes[0])
  t.is(await run(folder, { NAPI_RS_NATIVE_LIBRARY_PATH: built }), null)
})

test('H112: which libc it is, is told by the loader that the executable asks for', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nodepoll-loader-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'executable')
  const loader = '/lib/ld-musl-x86_64.so.1'
  const elf = Buffer.alloc(64 + 2 * 56 + 100)
  elf.writeUInt32BE(0x7f454c46, 0)
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(2, 56)
  elf.writeUInt32LE(6, 64)
  elf.writeUInt32LE(3, 120)
  elf.writeBigUInt64LE(180n, 120 + 8)
  elf.writeBigUInt64LE(BigInt(loader.length + 1), 120 + 32)
  elf.write(`${loader}\0and more`, 180)
  writeFileSync(path, elf)
  t.is(interpreterOf(path), loader)
  t.is(libcOf(path), 'musl')
  writeFileSync(path, Buffer.from(elf.toString('latin1').replace('ld-musl', 'ld-gnus'), 'latin1'))
  t.is(libcOf(path), 'gnu')
  for (const damaged of [elf.subarray(0, 10), elf.subarray(0, 70), Buffer.from('#!/bin/sh\n')]) {
    writeFileSync(path, damaged)
    t.is(interpreterOf(path), undefined)
  }
  t.is(interpreterOf(join(folder, 'nowhere')), undefined)
  if (process.platform !== 'linux') return
  t.regex(interpreterOf(process.execPath) ?? '', /\/ld-(linux|musl)\b/)
})

test('H112: the library built here is for this platform and release, and below 1 MiB', (t) => {
  const script = join(root, 'scripts/binary.mjs')
  const { stdout, stderr } = spawnSync(process.execPath, [script, built], { encoding: 'utf8' })
  t.is(stderr, '')
  const { path, bytes, glibc, ...found } = JSON.parse(stdout) as Record<string, unknown>
  const libc = { gnu: 'glibc', musl: 'musl' }[platform.split('-')[2] ?? '']
  const expected = { platform: process.platform, arch: process.arch, version: VERSION }
  t.deepEqual(found, libc === undefined ? expected : { ...expected, libc })
  t.is(path, built)
  t.true((bytes as number) < 2 ** 20, `${String(bytes)} bytes`)
  t.is(typeof glibc, libc === 'glibc' ? 'string' : 'undefined')
  if (glibc !== undefined) t.log(`it needs glibc ${String(glibc)}; a release may need 2.17`)
})
