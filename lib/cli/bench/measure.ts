import type { Contender, FromLoad, FromServer, Load, Outcome } from './messages.ts'
import { Helper } from './helper.ts'

/** One server under one load, once. */
export interface Measured {
  readonly requestsPerSecond: number
  /** CPU time of the server's process. */
  readonly cpuMicrosPerRequest: number
  /** Part of the time in which the JavaScript thread of the server was busy. */
  readonly busy: number
  readonly p50Micros: number
  readonly p99Micros: number
}

/** Starts a server and a load, each in a process of its own, and measures once both are warm. */
export async function measure(
  contender: Contender,
  load: Omit<Load, 'port'>,
  signal: AbortSignal,
): Promise<Measured> {
  const server = new Helper<FromServer>('server', contender, signal)
  try {
    const { port } = await server.next('port')
    const clients = new Helper<FromLoad>('load', JSON.stringify({ ...load, port }), signal)
    try {
      await clients.next('isWarm')
      const before = await server.ask('cpuMicros')
      const outcome = await clients.ask('requests')
      const after = await server.ask('cpuMicros')
      return summarize(outcome, {
        cpuMicros: after.cpuMicros - before.cpuMicros,
        activeMs: after.activeMs - before.activeMs,
      })
    } finally {
      clients.end()
    }
  } finally {
    server.end()
  }
}

function summarize(
  { requests, seconds, p50Micros, p99Micros }: Outcome,
  { cpuMicros, activeMs }: { cpuMicros: number; activeMs: number },
): Measured {
  return {
    requestsPerSecond: requests / seconds,
    cpuMicrosPerRequest: cpuMicros / Math.max(1, requests),
    busy: Math.min(1, activeMs / 1000 / seconds),
    p50Micros,
    p99Micros,
  }
}
