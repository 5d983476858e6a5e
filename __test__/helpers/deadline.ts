import { setTimeout as later } from 'node:timers/promises'

/** Long enough for two loaded cores: it finds stalls, not slowness. */
export const DEADLINE_MS = 15_000

/** The outcome of a promise, or an error that says what did not come in time. */
export async function within<T>(
  promise: PromiseLike<T>,
  what: string,
  ms: number = DEADLINE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until a condition holds that nothing tells of. */
export async function eventually(
  condition: () => boolean,
  what: string | (() => string),
  ms: number = DEADLINE_MS,
): Promise<void> {
  const end = performance.now() + ms
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`not within ${ms} ms: ${typeof what === 'string' ? what : what()}`)
    }
    await later(2)
  }
}

/** Waits until a number has stopped growing for a while. */
export async function settled(value: () => number, quietMs = 200): Promise<number> {
  let last = value()
  let since = performance.now()
  await eventually(() => {
    const now = value()
    if (now !== last) {
      last = now
      since = performance.now()
    }
    return performance.now() - since >= quietMs
  }, 'a value that no longer changes')
  return last
}

/** A promise and its two ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** A gate that opens when it was passed often enough. */
export class Countdown {
  readonly reached: Promise<void>
  #left: number
  #resolve: () => void = () => {}

  constructor(count: number) {
    this.#left = count
    this.reached = new Promise((resolve) => (this.#resolve = resolve))
  }

  get left(): number {
    return this.#left
  }

  pass(): void {
    if (--this.#left === 0) this.#resolve()
  }
}

/** Stops this thread, as a long computation would. */
export function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The error that a promise rejects with; an error of its own if it does not. */
export async function failureOf(promise: PromiseLike<unknown>, what = 'a call'): Promise<Error> {
  let value: unknown
  try {
    value = await within(promise, what)
  } catch (error) {
    return error as Error
  }
  throw new Error(`${what} gave ${String(value)} and was expected to fail`)
}

export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code
}
