import { RPC_NAMES_MAX, RPC_REFUSALS_MAX } from '../internal/limits.ts'
import { checkMillis, checkObject, checkOptionalSignal, checkTime } from '../internal/validate.ts'
import { AbortWatch } from './abort-watch.ts'
import { Alarm } from './alarm.ts'
import { RpcError, rpcFailure } from './errors.ts'
import { callHead } from './frame.ts'
import {
  type Calling,
  checkClientOptions,
  checkMethod,
  type RpcCallOptions,
  type RpcClientOptions,
} from './options.ts'
import { type CallOwner, PendingCall } from './pending-call.ts'
import { Pool } from './pool.ts'

const NO_OPTIONS: RpcCallOptions = {}

/**
 * Makes calls, many at a time over few connections: made by {@link connectRpc}.
 *
 * It keeps the process alive while calls are under way, and not by connections that are idle.
 */
export class RpcClient {
  readonly #calling: Calling
  readonly #pool: Pool
  /** Calls that wait for a connection, the oldest first. */
  readonly #waiting: Set<PendingCall> = new Set()
  /** The beginnings of frames, by their methods. */
  readonly #heads: Map<string, Buffer> = new Map()
  readonly #alarm: Alarm = new Alarm((now) => this.#sweep(now))
  readonly #aborts: AbortWatch<PendingCall> = new AbortWatch((call) =>
    this.#giveUp(call, call.signal?.reason),
  )
  readonly #calls: CallOwner = {
    settled: (call) => {
      if (call.signal !== undefined) this.#aborts.remove(call.signal, call)
      if (--this.#count === 0) this.#onIdle?.()
    },
  }
  #count = 0
  #onIdle: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(options: RpcClientOptions) {
    this.#calling = checkClientOptions(options)
    const waiting = this.#waiting
    this.#pool = new Pool(
      {
        get waitingCount() {
          return waiting.size
        },
        hasRoom: () => this.#sendWaiting(),
        refused: (call, error) => this.#refused(call, error),
        unreachable: (error) => this.#unreachable(error),
      },
      this.#calling,
      options,
    )
  }

  /** Connections over which calls are sent. */
  get connectionCount(): number {
    return this.#pool.size
  }

  /** Calls that have not settled. */
  get callCount(): number {
    return this.#count
  }

  /**
   * Calls a method. Resolves with the reply. Rejects with the `RpcError` that the handler has
   * thrown, or one of those of `docs/errors.md`: each says whether the server may have begun the
   * call. What it has not begun because it shuts down is called over another connection by itself.
   *
   * `request` must not be changed before the call has settled.
   *
   * @example
   * ```ts
   * import { type RpcClient } from 'nodepoll/rpc'
   *
   * function priceOf(client: RpcClient, article: string, signal: AbortSignal): Promise<number> {
   *   return client.call<number>('price', { article }, { timeoutMs: 500, signal })
   * }
   * ```
   */
  call<Reply = unknown>(
    method: string,
    request?: unknown,
    options: RpcCallOptions = NO_OPTIONS,
  ): Promise<Reply> {
    let call: PendingCall
    try {
      call = this.#begin(method, request, options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    this.#send(call)
    return call.promise as Promise<Reply>
  }

  #begin(method: string, request: unknown, options: RpcCallOptions): PendingCall {
    const head = this.#heads.get(method) ?? this.#makeHead(method)
    const dueAt = this.#dueAt(options)
    const { signal } = options
    if (signal !== undefined) checkOptionalSignal(signal, 'options.signal')?.throwIfAborted()
    if (this.#closing !== undefined) throw closedError()
    if (this.#count >= this.#calling.callsMax) {
      const what = `${this.#count} calls wait or are under way`
      throw rpcFailure('ERR_NODEPOLL_RPC_CALLS_MAX', what)
    }
    const call = new PendingCall(this.#calls, head, request, dueAt, signal)
    this.#count++
    if (signal !== undefined) this.#aborts.add(signal, call)
    if (dueAt !== Infinity) this.#alarm.set(dueAt)
    return call
  }

  #makeHead(method: string): Buffer {
    const head = callHead(Buffer.from(checkMethod(method, 'method')))
    if (this.#heads.size < RPC_NAMES_MAX) this.#heads.set(method, head)
    return head
  }

  #dueAt(options: RpcCallOptions): number {
    if (options === NO_OPTIONS) {
      const { timeoutMs } = this.#calling
      return timeoutMs === 0 ? Infinity : performance.now() + timeoutMs
    }
    const { deadline, timeoutMs = this.#calling.timeoutMs } = checkObject(options, 'options')
    if (deadline !== undefined) {
      const at = checkTime(deadline, 'options.deadline') as number
      return performance.now() + at - Date.now()
    }
    const ms = checkMillis(timeoutMs, 'options.timeoutMs')
    return ms === 0 ? Infinity : performance.now() + ms
  }

  #send(call: PendingCall): void {
    const session = this.#pool.pick()
    if (session === undefined) this.#waiting.add(call)
    else session.send(call)
  }

  #sendWaiting(): void {
    for (const call of this.#waiting) {
      const session = this.#pool.pick()
      if (session === undefined) return
      this.#waiting.delete(call)
      session.send(call)
    }
  }

  #refused(call: PendingCall, error: RpcError): void {
    if (++call.refusals > RPC_REFUSALS_MAX) call.reject(error)
    else this.#send(call)
  }

  #unreachable(error: unknown): void {
    // A server that was reached and is not ours is said to be so.
    const reason =
      error instanceof RpcError && error.code !== 'ERR_NODEPOLL_RPC_CONNECTION_LOST'
        ? error
        : rpcFailure('ERR_NODEPOLL_RPC_UNAVAILABLE', 'no target can be reached', { cause: error })
    for (const call of this.#waiting) {
      this.#waiting.delete(call)
      call.reject(reason)
    }
  }

  #giveUp(call: PendingCall, reason: unknown): void {
    if (call.isSettled) return
    call.reject(reason)
    if (call.session === undefined) this.#waiting.delete(call)
    else call.session.cancel(call)
  }

  /** Gives up the calls whose time is over. */
  #sweep(now: number): number {
    let next = Infinity
    const look = (call: PendingCall): void => {
      if (call.dueAt > now) next = Math.min(next, call.dueAt)
      else this.#giveUp(call, lateError())
    }
    for (const call of this.#waiting) look(call)
    for (const session of this.#pool.sessions()) for (const call of session.waiting()) look(call)
    return next
  }

  /** Lets calls that are under way keep the process alive, as they do at first. */
  ref(): this {
    this.#pool.setReffed(true)
    return this
  }

  /** Lets the process end although calls are under way. */
  unref(): this {
    this.#pool.setReffed(false)
    return this
  }

  /**
   * Takes no more calls, waits until those that there are have settled, and ends the connections.
   * Each call returns the same promise, which never rejects.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    if (this.#count > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    this.#alarm.cancel()
    await this.#pool.close()
  }

  /** Ends at once: all calls fail with `ERR_NODEPOLL_RPC_CLOSED`. */
  destroy(): void {
    const error = closedError()
    this.#closing ??= Promise.resolve()
    this.#alarm.cancel()
    this.#unreachable(error)
    for (const session of this.#pool.sessions()) {
      for (const call of session.waiting()) call.reject(error)
    }
    this.#pool.destroy(error)
  }

  /** {@link RpcClient.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function closedError(): RpcError {
  return rpcFailure('ERR_NODEPOLL_RPC_CLOSED', 'the client is closed')
}

function lateError(): RpcError {
  return rpcFailure('ERR_NODEPOLL_RPC_TIMEOUT', 'the call has taken longer than it may')
}

/**
 * Makes a client of the service at a host and a port, or at the path of a unix socket. Nothing is
 * dialled before there is a call.
 *
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE` for wrong options.
 *
 * @example
 * ```ts
 * import { connectRpc } from 'nodepoll/rpc'
 *
 * const client = connectRpc({
 *   targets: [{ port: 7000 }, { port: 7001 }],
 *   connections: 4,
 *   timeoutMs: 2000,
 * })
 * await client.close()
 * ```
 */
export function connectRpc(options: RpcClientOptions): RpcClient {
  return new RpcClient(options)
}
