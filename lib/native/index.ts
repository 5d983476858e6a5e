import type { BindingRuntime, BindingOutcome, BindingStats } from './binding.cjs'
import { native } from './load.ts'

export type NativeRuntime = BindingRuntime
export type NativeOutcome = BindingOutcome
export type NativeStats = BindingStats

export interface NativeRuntimeOptions {
  readonly memoryMax: number
  readonly host: string
  readonly loadBalance: 'roundRobin' | 'random' | 'leastConnections'
  readonly control: Int32Array
  readonly leaseChanges: Int32Array
  readonly commands: Int32Array[]
  readonly events: Int32Array[]
}

/** Starts pollers. `doorbell` is called when there are events and nobody has fetched them. */
export function startRuntime(
  options: NativeRuntimeOptions,
  doorbell: (areShown?: boolean) => void,
): NativeRuntime {
  return new native.BindingRuntime(options, doorbell)
}

/**
 * Whether this runtime's event loop can turn drivers: it is libuv, and tells where it is. Bun and
 * Deno have libuv's names too, but in Bun a call ends the process, and in Deno `uv_poll` misses
 * what happens.
 */
export function canTurnInline(): boolean {
  const { bun, deno } = process.versions
  return bun === undefined && deno === undefined && native.BindingRuntime.canTurnInline()
}

/** The layout of records as the native half knows it. */
export function nativeRecordLayout(): Record<string, number> {
  return native.BindingRuntime.recordLayout()
}
