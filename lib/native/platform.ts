import { basename } from 'node:path'

import { interpreterOf } from './elf.ts'

/** The name of this platform by the conventions of napi-rs: `linux-x64-gnu`, `darwin-arm64` … */
export function platformName(): string {
  const { platform, arch } = process
  if (platform === 'linux') return `${platform}-${arch}-${libcName()}`
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
 * Which C library this process runs on, which need not be the one of the system: its executable
 * asks for the dynamic loader of one, and only one fits into a process.
 */
function libcName(): 'gnu' | 'musl' {
  return basename(interpreterOf(process.execPath) ?? '').startsWith('ld-musl') ? 'musl' : 'gnu'
}

function libcInWords(): string {
  if (libcName() === 'musl') return 'musl'
  // Slow, as it gathers all that is known of the process.
  const report = process.report?.getReport?.() as { header?: Record<string, string> } | undefined
  return `glibc ${report?.header?.['glibcVersionRuntime'] ?? 'of unknown version'}`
}
