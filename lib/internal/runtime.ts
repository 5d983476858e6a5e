import { availableParallelism } from 'node:os'

import type { Connection } from '../connection.ts'
import { type NativeRuntime, startRuntime } from '../native/index.ts'
import { CONTROL_LANES, LANE_WORDS } from '../native/record.ts'
import { Dispatcher } from './dispatcher.ts'
import { availableHost, defaultHost, type Host } from './host.ts'
import { Lane } from './lane.ts'
import { CHUNK_BYTES, LEASE_CHANGES, MEMORY_MAX, POLLERS_DEFAULT_MAX } from './limits.ts'
import { extraBytes, Memory } from './memory.ts'

/** Pollers, rings, arena and dispatcher: one a JavaScript environment. */
export interface Runtime {
  readonly native: NativeRuntime
  readonly dispatcher: Dispatcher
}

export interface RuntimeSettings {
  readonly host: Host
  readonly pollers: number
  readonly loadBalance: 'roundRobin' | 'random' | 'leastConnections'
  readonly memoryMax: number
  readonly guard: boolean
}

let settings: RuntimeSettings | undefined
let runtime: Runtime | undefined

/** The runtime of this environment. It starts with the first use. */
export function currentRuntime(): Runtime {
  return (runtime ??= start(settings ?? settingsOf({})))
}

/** The runtime, unless nothing has used it yet. */
export function startedRuntime(): Runtime | undefined {
  return runtime
}

/** Decides what the runtime will be made of. */
export function settle(chosen: Partial<RuntimeSettings>): void {
  settings = settingsOf(chosen)
}

function settingsOf({ host, ...rest }: Partial<RuntimeSettings>): RuntimeSettings {
  const spare = availableParallelism() - 1
  return {
    host: availableHost(host ?? defaultHost()),
    loadBalance: 'roundRobin',
    pollers: Math.max(1, Math.min(POLLERS_DEFAULT_MAX, spare)),
    memoryMax: MEMORY_MAX,
    guard: process.env['NODEPOLL_GUARD'] === '1',
    ...rest,
  }
}

function start({ host, pollers, loadBalance, memoryMax, guard }: RuntimeSettings): Runtime {
  const control = new Int32Array(CONTROL_LANES + pollers * LANE_WORDS)
  const leaseChanges = new Int32Array(2 * LEASE_CHANGES)
  const lanes: Lane<Connection>[] = []
  for (let index = 0; index < pollers; index++) lanes.push(new Lane(index, control))
  // In whole chunks: the arena takes no more than it is told.
  const arenaMax = Math.ceil(memoryMax / CHUNK_BYTES) * CHUNK_BYTES
  const options = {
    host,
    loadBalance,
    memoryMax: arenaMax + extraBytes(arenaMax),
    control,
    leaseChanges,
    commands: lanes.map((lane) => lane.commands),
    events: lanes.map((lane) => lane.events),
  }
  const native = startRuntime(options, (areShown) => dispatcher.pump(areShown))
  const exchange = native.exchangeFunction()
  const schedule = (): void => dispatcher.schedule()
  const memory = new Memory(native, control, leaseChanges, exchange, schedule, guard, arenaMax)
  const dispatcher = new Dispatcher(native, control, lanes, memory, exchange)
  return { native, dispatcher }
}
