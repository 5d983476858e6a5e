import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { arch, platform, release, type } from 'node:os'

import { libcOf } from '../../native/platform.ts'

/** The parts of Node's diagnostic report that are looked at. Other runtimes may lack any. */
interface Report {
  readonly header?: { readonly glibcVersionRuntime?: string }
  readonly userLimits?: Readonly<Record<string, { readonly soft: Limit; readonly hard: Limit }>>
}

type Limit = number | 'unlimited'

/** The runtime and its version. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions
  if (bun !== undefined) return `Bun ${bun}`
  return deno === undefined ? `Node ${node}` : `Deno ${deno}`
}

/** Whether the runtime is one that `package.json` names, or another that claims to be like it. */
export function isRuntimeSupported(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
}

/** Operating system, processor and C library. */
export function platformName(): string {
  const library = platform() === 'linux' ? `, ${libc()}` : ''
  return `${platform()} ${arch()}${library}, ${type()} ${release()}`
}

function libc(): string {
  const version = readReport().header?.glibcVersionRuntime
  if (version !== undefined) return `glibc ${version}`
  return libcOf(process.execPath) === 'musl' ? 'musl' : 'glibc'
}

/** Descriptors that this process may have, and could give itself; `undefined` is unknown. */
export function descriptorLimits(): { soft: number; hard: number } | undefined {
  const limits = readReport().userLimits?.['open_files']
  if (limits === undefined) return undefined
  return { soft: countOf(limits.soft), hard: countOf(limits.hard) }
}

function countOf(limit: Limit): number {
  return limit === 'unlimited' ? Infinity : limit
}

/** Connections that the system lets wait to be accepted. */
export function somaxconn(): number | undefined {
  try {
    if (platform() === 'linux') {
      return Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'))
    }
    if (platform() === 'darwin') {
      return Number(execFileSync('sysctl', ['-n', 'kern.ipc.somaxconn'], { encoding: 'utf8' }))
    }
  } catch {
    // A sandbox may hide it.
  }
  return undefined
}

function readReport(): Report {
  if (process.report === undefined) return {}
  // Otherwise the names of all peers are looked up.
  Object.assign(process.report, { excludeNetwork: true })
  return process.report.getReport() as unknown as Report
}
