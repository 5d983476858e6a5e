import { Connection } from './connection.ts'
import { failure, invalidArgType } from './errors.ts'
import { currentScope } from './internal/dispatcher.ts'
import { type Handlers, reportError } from './internal/handlers.ts'
import { currentRuntime } from './internal/runtime.ts'
import { checkObject } from './internal/validate.ts'
import { Listener } from './listener.ts'
import { COMMAND_RESET } from './native/record.ts'
import {
  checkHandlers,
  checkShutdownOptions,
  checkTreatment,
  type EventLoopOptions,
  type ShutdownOptions,
} from './options.ts'

/**
 * Handlers, and the connections that they serve.
 *
 * Made by {@link createEventLoop}; follows the `EventLoop` of CloudWeGo's netpoll.
 */
export class EventLoop {
  readonly #handlers: Handlers
  readonly #connections: Set<Connection> = new Set()
  readonly #listeners: Set<Listener> = new Set()
  #isShutDown = false
  /** Called whenever something of this loop has ended. */
  readonly #watchers: Set<() => void> = new Set()

  /** @internal */
  constructor(options: EventLoopOptions<unknown>) {
    const { onConnect, onRequest, onDisconnect, onError } = options
    this.#handlers = {
      ...checkTreatment(options),
      onConnect: onConnect?.bind(options),
      onRequest: onRequest?.bind(options),
      onDisconnect: onDisconnect?.bind(options),
      onError: onError?.bind(options),
      scope: currentScope(),
      ended: () => {},
    }
  }

  /** Connections whose close callbacks have not run yet. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** These connections. */
  connections(): IterableIterator<Connection> {
    return this.#connections.values()
  }

  /**
   * Accepts the listener's connections and calls the handlers for them. Settles when the listener
   * is closed, all its connections have ended and their close callbacks have run.
   *
   * Rejects with `ERR_NODEPOLL_SHUT_DOWN` after {@link EventLoop.shutdown}, and with
   * `ERR_NODEPOLL_UNSUPPORTED` if the listener is served already.
   */
  async serve(listener: Listener): Promise<void> {
    if (!(listener instanceof Listener)) throw invalidArgType('listener', 'a Listener', listener)
    if (this.#isShutDown) throw failure('ERR_NODEPOLL_SHUT_DOWN', 'the loop is shut down')
    let open = 0
    const handlers: Handlers = {
      ...this.#handlers,
      ended: (connection) => {
        open--
        this.#ended(connection)
      },
    }
    const { dispatcher } = currentRuntime()
    const closed = listener._serve({
      scope: handlers.scope,
      readBufferMax: handlers.readBufferMax,
      accepted: (opened) => {
        open++
        this.#accept(new Connection(dispatcher, handlers, opened, listener.address))
      },
      failed: (error) => reportError(handlers.onError, error),
    })
    this.#listeners.add(listener)
    await closed
    this.#listeners.delete(listener)
    await this.#until(() => open === 0)
  }

  /**
   * Stops accepting at once; connections that the kernel had accepted are served. Idle connections
   * are closed gracefully, busy ones as soon as they become idle. Resolves when none is left.
   *
   * Rejects with `ERR_NODEPOLL_DEADLINE` after `deadlineMs`; with `force` what remains is reset
   * first. A second call joins the first and may bring its own deadline.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    checkShutdownOptions(options)
    this.#isShutDown = true
    const drained = this.#drain()
    const { deadlineMs, force = false } = options
    if (deadlineMs === undefined) return drained
    const deadline = new Deadline(deadlineMs)
    const isInTime = await Promise.race([drained.then(() => true), deadline.passed])
    deadline.cancel()
    if (isInTime) return
    const left = this.#connections.size
    if (force) {
      for (const connection of this.#connections) {
        connection._end({ by: 'shutdown' }, COMMAND_RESET)
      }
    }
    throw failure('ERR_NODEPOLL_DEADLINE', `${left} connections are left after ${deadlineMs} ms`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  #accept(connection: Connection): void {
    this.#connections.add(connection)
    connection._opened()
    if (this.#isShutDown) connection._closeWhenIdle()
  }

  #ended(connection: Connection): void {
    this.#connections.delete(connection)
    for (const watch of this.#watchers) watch()
  }

  async #drain(): Promise<void> {
    await Promise.all(Array.from(this.#listeners, (listener) => listener.close()))
    for (const connection of this.#connections) connection._closeWhenIdle()
    await this.#until(() => this.#connections.size === 0)
  }

  /** Resolves as soon as `done` says so; it is asked whenever a connection has ended. */
  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watch = (): void => {
        if (!done()) return
        this.#watchers.delete(watch)
        resolve()
      }
      this.#watchers.add(watch)
      watch()
    })
  }
}

/** A point in time after which nobody waits any more. It does not keep the process alive. */
class Deadline {
  readonly passed: Promise<false>
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number) {
    this.passed = new Promise((resolve) => {
      this.#timer = setTimeout(resolve, ms, false)
    })
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }
}

/**
 * Makes an event loop. Its handlers run in the asynchronous context of this call.
 *
 * @example
 * ```ts
 * import { createEventLoop, createListener } from 'nodepoll'
 *
 * const loop = createEventLoop({
 *   onConnect: () => ({ requests: 0 }),
 *   onRequest({ input, writer }, context) {
 *     context.requests++
 *     writer.append(input).flush()
 *   },
 * })
 * const served = loop.serve(await createListener({ host: '127.0.0.1', port: 0 }))
 * await loop.shutdown()
 * await served
 * ```
 */
export function createEventLoop<C = undefined>(options: EventLoopOptions<C>): EventLoop {
  checkObject(options, 'options')
  checkHandlers(options)
  return new EventLoop(options as EventLoopOptions<unknown>)
}
