import type { BindingRuntime, BindingOutcome, BindingStats } from './binding.cjs'
import { native } from './load.ts'

export type NativeRuntime = BindingRuntime
export type NativeOutcome = BindingOutcome
export type NativeStats = BindingStats

export interface NativeRuntimeOptions {
  readonly memoryMax: number
  readonly control: Int32Array
  readonly leaseChanges: Int32Array
  readonly commands: Int32Array[]
  readonly events: Int32Array[]
}

/** Starts pollers. `doorbell` is called when there are events and nobody has fetched them. */
export function startRuntime(options: NativeRuntimeOptions, doorbell: () => void): NativeRuntime {
  return new native.BindingRuntime(options, doorbell)
}

/** The layout of records as the native half knows it. */
export function nativeRecordLayout(): Record<string, number> {
  return native.BindingRuntime.recordLayout()
}
