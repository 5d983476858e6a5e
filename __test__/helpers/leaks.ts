import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import type { ExecutionContext } from 'ava'
import { createListener, stats } from 'nodepoll'

import { eventually } from './deadline.ts'

/** The node that output is written into stays leased for good. */
const WRITE_NODE_BYTES = 65_536

/** Descriptors or threads of a process; `undefined` where there is no /proc. */
export function countIn(folder: 'fd' | 'task', pid: number | 'self' = 'self'): number | undefined {
  if (process.platform !== 'linux') return undefined
  return readdirSync(`/proc/${pid}/${folder}`).length
}

/**
 * Fails the test unless, after everything else in it was torn down, nothing is open and no memory
 * is held. Call it first: what is registered last is torn down first.
 */
export async function leakCheck(t: ExecutionContext<unknown>): Promise<void> {
  // The first use makes what stays for good.
  await (await createListener({ host: '127.0.0.1' })).close()
  const descriptors = countIn('fd')
  if (descriptors === undefined) t.log('descriptors are not counted: there is no /proc')
  const staleBefore = stats().staleLeases
  let turns = 0
  const isClean = (): boolean => {
    // What was read and not released goes back with its connection.
    if (++turns % 50 === 0) collectGarbage()
    const { connections, listeners, arenaBytesLeased, staleLeases } = stats()
    const isEmpty = connections === 0 && listeners === 0 && staleLeases === staleBefore
    return (
      isEmpty && arenaBytesLeased <= WRITE_NODE_BYTES && (countIn('fd') ?? 0) <= (descriptors ?? 0)
    )
  }
  const describe = (): string => {
    const { connections, listeners, arenaBytesLeased, arenaLeases, staleLeases } = stats()
    const counts = { connections, listeners, arenaBytesLeased, arenaLeases, staleLeases }
    return (
      `nothing is left: ${JSON.stringify(counts)}, ` +
      `stale leases before ${staleBefore}, descriptors ${descriptors} -> ${countIn('fd')}`
    )
  }
  t.teardown(() => eventually(isClean, describe, 8_000))
}

const gc = exposeGarbageCollection()

export function collectGarbage(): void {
  gc()
}

function exposeGarbageCollection(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
