/** The servers that are compared. */
export const CONTENDERS = ['node:net', 'nodepoll'] as const

export type Contender = (typeof CONTENDERS)[number]

/** What every connection of the load does. */
export interface Load {
  readonly port: number
  readonly connections: number
  /** Bytes of a message. */
  readonly size: number
  /** Messages that a connection has under way. */
  readonly pipeline: number
  readonly seconds: number
}

/** From a server's process: where it listens, and what it has used. */
export type FromServer =
  { readonly port: number } | { readonly cpuMicros: number; readonly activeMs: number }

/** From the process of the load: it may be measured now, and what came of it. */
export type FromLoad = { readonly isWarm: true } | Outcome

export interface Outcome {
  readonly requests: number
  readonly seconds: number
  readonly p50Micros: number
  readonly p99Micros: number
}
