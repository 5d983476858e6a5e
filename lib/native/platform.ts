import { basename } from 'node:path'

import { interpreterOf } from './elf.ts'

/** The name of this platform by the conventions of napi-rs: `linux-x64-gnu`, `darwin-arm64` … */
export function platformName(): string {
  const { platform, arch } = process
  if (platform === 'linux') return `${platform}-${arch}-${libcOf(process.execPath)}`
  return platform === 'win32' ? `${platform}-${arch}-msvc` : `${platform}-${arch}`
}

/** This platform and runtime, in words for a message. */
export function platformInWords(): string {
  const { platform, arch, versions } = process
  const runtime = ['Bun', 'Deno', 'Electron'].find((name) => name.toLowerCase() in versions)
  const version = versions[runtime?.toLowerCase() ?? 'node']
  const libc = platform === 'linux' ? ` with ${libcInWords()}` : ''
  return `${platform} ${arch}${libc}, ${runtime ?? 'Node'} ${version}`
}

/**
 * The C library of a process, by its executable: that asks for the dynamic loader of one, and only
 * one fits into a process. It need not be the one of the system.
 */
export function libcOf(executable: string): 'gnu' | 'musl' {
  return basename(interpreterOf(executable) ?? '').startsWith('ld-musl') ? 'musl' : 'gnu'
}

function libcInWords(): string {
  if (libcOf(process.execPath) === 'musl') return 'musl'
  // Slow, as it gathers all that is known of the process.
  const report = process.report?.getReport?.() as { header?: Record<string, string> } | undefined
  return `glibc ${report?.header?.['glibcVersionRuntime'] ?? 'of unknown version'}`
}
