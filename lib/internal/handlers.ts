import type { Connection } from '../connection.ts'
import { publishError } from './diagnostics.ts'
import type { Scope } from './dispatcher.ts'

export type Handler = (connection: Connection, context: unknown) => unknown

/** What a connection calls, shared by all connections of a loop. */
export interface Handlers {
  readonly onPrepare: Handler | undefined
  readonly onConnect: Handler | undefined
  readonly onRequest: Handler | undefined
  readonly onDisconnect: Handler | undefined
  readonly onError: ((error: unknown, connection: Connection | undefined) => unknown) | undefined
  readonly autoRelease: boolean
  readonly readBufferMax: number
  readonly writeBufferMax: number
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly allowHalfOpen: boolean
  readonly scope: Scope
  /** The loop that they are of. */
  readonly owner: object | undefined
  /** The socket of a connection is gone, and it has left the table of its lane. */
  readonly closed: (connection: Connection) => void
  /** A connection has ended and its close callbacks have run. */
  readonly ended: (connection: Connection) => void
}

/**
 * Tells of an error that nobody awaits. What `onError` itself throws becomes an uncaught
 * exception, as it would anywhere else.
 */
export function reportError(
  onError: Handlers['onError'],
  error: unknown,
  connection?: Connection,
): void {
  publishError(error, connection)
  try {
    if (onError === undefined) {
      process.emitWarning(error instanceof Error ? error : String(error))
    } else {
      const result = onError(error, connection)
      if (isThenable(result)) result.then(undefined, throwLater)
    }
  } catch (thrown) {
    throwLater(thrown)
  }
}

/** Calls user code. What it throws or rejects with goes to `failed`. A promise is still pending. */
export function callGuarded(
  run: () => unknown,
  failed: (error: unknown) => void,
): Promise<void> | undefined {
  try {
    const result = run()
    if (isThenable(result)) return Promise.resolve(result).then(() => {}, failed)
  } catch (error) {
    failed(error)
  }
  return undefined
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}

function throwLater(thrown: unknown): void {
  setImmediate(() => {
    throw thrown
  })
}
