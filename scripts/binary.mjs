// What native libraries are made for, by their own headers and not by their names.
//
//   node scripts/binary.mjs FILE...     one line of JSON for each
//
// For libraries of Linux it needs `readelf`, which comes with the linker.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { PlainError } from './requirements.mjs'
import { isMain } from './setup.mjs'

/** The newest glibc that a released binary may ask for: that of the oldest systems of Node 20. */
export const GLIBC_MAX = '2.17'

/** The largest binary that is released. */
export const BINARY_BYTES_MAX = 1024 * 1024

const elfMachines = { 0x3e: 'x64', 0xb7: 'arm64' }
const machMachines = { 0x0100_0007: 'x64', 0x0100_000c: 'arm64' }
const peMachines = { 0x8664: 'x64', 0xaa64: 'arm64' }

/**
 * `platform` and `arch` as Node has them, `libc` as npm has it, the newest `glibc` that is needed,
 * the `version` of nodepoll it belongs to, and `bytes`.
 */
export function describeBinary(path) {
  const bytes = readFileSync(path)
  const described = elf(path, bytes) ?? mach(bytes) ?? portable(bytes)
  if (described === undefined) throw new PlainError(`${path} is no library of a known format.`)
  // As `BindingRuntime.release` says it.
  const version = /nodepoll \(([^)\s]+)\)/.exec(bytes.toString('latin1'))?.[1]
  return { ...described, version, bytes: bytes.length }
}

function elf(path, bytes) {
  if (bytes.readUInt32BE(0) !== 0x7f454c46) return undefined
  const { stdout, error } = spawnSync('readelf', ['-dVW', path], { encoding: 'utf8' })
  if (error) throw new PlainError(`\`readelf\` could not be started: ${error.message}`)
  const needed = [...stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name)
  const libc = needed.includes('libc.so.6') ? 'glibc' : 'musl'
  const versions = [...stdout.matchAll(/\bName: GLIBC_([\d.]+)/g)].map(([, version]) => version)
  const newest = versions.toSorted(compareVersions).at(-1)
  const arch = elfMachines[bytes.readUInt16LE(18)]
  return { platform: 'linux', arch, libc, ...(newest === undefined ? {} : { glibc: newest }) }
}

function mach(bytes) {
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) return undefined
  return { platform: 'darwin', arch: machMachines[bytes.readUInt32LE(4)] }
}

function portable(bytes) {
  if (bytes.toString('latin1', 0, 2) !== 'MZ') return undefined
  return { platform: 'win32', arch: peMachines[bytes.readUInt16LE(bytes.readUInt32LE(60) + 4)] }
}

/** Negative if `a` is older than `b`. */
export function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  return left[0] - right[0] || left[1] - right[1]
}

/** What is wrong with the binary of a package, in sentences; `manifest` is the package's. */
export function problemsOfBinary(path, manifest) {
  const { platform, arch, libc, version, bytes } = describeBinary(path)
  const { os, cpu, libc: libcs } = manifest
  const problems = []
  const wanted = [...os, ...cpu, ...(libcs ?? [])].join(' ')
  const found = [platform, arch, libc].filter(Boolean).join(' ')
  if (found !== wanted) problems.push(`${path} is for ${found}, not for ${wanted}`)
  if (version !== manifest.version) {
    problems.push(`${path} belongs to ${version}, its package to ${manifest.version}`)
  }
  if (bytes > BINARY_BYTES_MAX) problems.push(`${path} has ${bytes} bytes, more than 1 MiB`)
  return problems
}

/** What keeps a binary from running on old systems: it may, unless it is released. */
export function problemOfAge(path) {
  const { glibc } = describeBinary(path)
  if (glibc === undefined || compareVersions(glibc, GLIBC_MAX) <= 0) return undefined
  return `${path} needs glibc ${glibc}, and may need no newer than ${GLIBC_MAX}`
}

if (isMain(import.meta.url)) {
  for (const path of process.argv.slice(2)) {
    console.log(JSON.stringify({ path, ...describeBinary(path) }))
  }
}
