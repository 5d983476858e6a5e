import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, totalmem } from 'node:os'

import { BACKLOG, MEMORY_MAX, POLLERS_DEFAULT_MAX } from '../../internal/limits.ts'
import { formatBytes, formatNumber } from '../output.ts'
import * as system from './system.ts'

/** Descriptors below which a server is soon at its end. */
const DESCRIPTORS_MIN = 4096

/** One thing that was looked at. */
export interface Check {
  readonly name: string
  readonly status: 'good' | 'warning' | 'failed' | 'skipped'
  readonly found: string
  /** What to do about it. */
  readonly advice?: string
}

/** What the machine is, and what it allows. */
export function checkSystem(): Check[] {
  return [
    { name: 'platform', status: 'good', found: system.platformName() },
    checkRuntime(),
    { name: 'processors', status: 'good', found: formatNumber(availableParallelism()) },
    checkMemory(),
    checkDescriptors(),
    checkBacklog(),
  ]
}

function checkRuntime(): Check {
  const found = system.runtimeName()
  if (system.isRuntimeSupported()) return { name: 'runtime', status: 'good', found }
  const advice = 'Install Node 20.19 or later, or 22.12 or later.'
  return { name: 'runtime', status: 'failed', found, advice }
}

function checkMemory(): Check {
  const limit = process.constrainedMemory?.() ?? 0
  const total = limit > 0 && limit < totalmem() ? limit : totalmem()
  const found = `${formatBytes(total)}, buffers may take ${formatBytes(MEMORY_MAX)}`
  if (total >= 2 * MEMORY_MAX) return { name: 'memory', status: 'good', found }
  const fitting = Math.floor(total / 4)
  const advice = `Under load buffers could take most of it: configure({ memoryMax: ${fitting} }).`
  return { name: 'memory', status: 'warning', found, advice }
}

function checkDescriptors(): Check {
  const limits = system.descriptorLimits()
  if (limits === undefined) return { name: 'descriptors', status: 'skipped', found: 'unknown' }
  const { soft, hard } = limits
  const found = `${formatNumber(soft)}, up to ${formatNumber(hard)} on request`
  if (soft >= DESCRIPTORS_MIN) return { name: 'descriptors', status: 'good', found }
  const wanted = Math.min(hard, 65_536)
  const advice =
    `Each connection takes one: \`ulimit -n ${wanted}\` before the program starts, ` +
    'LimitNOFILE in a unit of systemd, or --ulimit nofile of Docker.'
  return { name: 'descriptors', status: 'warning', found, advice }
}

function checkBacklog(): Check {
  const found = system.somaxconn()
  if (found === undefined) return { name: 'backlog', status: 'skipped', found: 'unknown' }
  const text = `${formatNumber(found)} connections may wait to be accepted`
  if (found >= BACKLOG) return { name: 'backlog', status: 'good', found: text }
  const advice = `Listeners ask for ${BACKLOG}: raise net.core.somaxconn (kern.ipc.somaxconn).`
  return { name: 'backlog', status: 'warning', found: text, advice }
}

/** Whether the package loads, and what of it. */
export async function checkPackage(): Promise<Check[]> {
  try {
    await import('../../index.ts')
  } catch (error) {
    // It says for which platform, what was tried, and what to do.
    const { message: advice } = error as Error
    return [{ name: 'native library', status: 'failed', found: 'does not load', advice }]
  }
  const pollers = Math.max(1, Math.min(POLLERS_DEFAULT_MAX, availableParallelism() - 1))
  return [
    { name: 'native library', status: 'good', found: libraryPath() },
    { name: 'I/O threads', status: 'good', found: `${pollers}, unless configure() says otherwise` },
  ]
}

function libraryPath(): string {
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  const path = loaded.find((each) => each.endsWith('.node'))
  return path === undefined ? 'loaded' : `${path}, ${formatBytes(statSync(path).size)}`
}
