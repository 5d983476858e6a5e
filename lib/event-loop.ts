import { Connection } from './connection.ts'
import { failure, invalidArgType } from './errors.ts'
import { Deadline } from './internal/deadline.ts'
import { currentScope } from './internal/dispatcher.ts'
import { type Handlers, reportError } from './internal/handlers.ts'
import { SHUTDOWN_WARNING_MS } from './internal/limits.ts'
import { currentRuntime, startedRuntime } from './internal/runtime.ts'
import { checkObject } from './internal/validate.ts'
import { Listener } from './listener.ts'
import { COMMAND_RESET } from './native/record.ts'
import {
  checkConnectionsMax,
  type CheckedTreatment,
  checkHandlers,
  checkShutdownOptions,
  checkTreatment,
  type EventLoopOptions,
  type ShutdownOptions,
} from './options.ts'

/**
 * Handlers, and the connections that they serve: those of any number of listeners.
 *
 * Made by {@link createEventLoop}; follows the `EventLoop` of CloudWeGo's netpoll.
 */
export class EventLoop {
  readonly #treatment: CheckedTreatment
  readonly #connectionsMax: number
  /** The number by which its listeners share the limit to connections. */
  #limit = 0
  readonly #handlers: Handlers
  #connectionCount = 0
  /** Connections that have left the tables of the lanes, and whose close callbacks are to come. */
  readonly #ending: Set<Connection> = new Set()
  readonly #listeners: Set<Listener> = new Set()
  #isShutDown = false
  #isReffed = true
  /** Connections whose handlers wait for a shutdown. */
  readonly #callers: WeakSet<Connection> = new WeakSet()
  /** Called whenever something of this loop has ended. */
  readonly #watchers: Set<() => void> = new Set()

  /** @internal */
  constructor(options: EventLoopOptions<unknown>) {
    const { onPrepare, onConnect, onRequest, onDisconnect, onError } = options
    this.#treatment = checkTreatment(options)
    this.#connectionsMax = checkConnectionsMax(options.connectionsMax)
    this.#handlers = {
      ...this.#treatment,
      onPrepare: onPrepare?.bind(options),
      onConnect: onConnect?.bind(options),
      onRequest: onRequest?.bind(options),
      onDisconnect: onDisconnect?.bind(options),
      onError: onError?.bind(options),
      scope: currentScope(),
      owner: this,
      closed: (connection) => this.#ending.add(connection),
      ended: () => {},
    }
  }

  /** Connections whose close callbacks have not run yet. */
  get connectionCount(): number {
    return this.#connectionCount
  }

  /** These connections. Those that open or end meanwhile may be among them or not. */
  *connections(): IterableIterator<Connection> {
    for (const { connections } of startedRuntime()?.dispatcher.lanes ?? []) {
      for (const connection of connections) {
        if (connection?._handlers.owner === this) yield connection
      }
    }
    yield* this.#ending
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
    if (this.#limit === 0) this.#limit = dispatcher.nextNumber()
    if (!this.#isReffed) listener.unref()
    const closed = listener._serve({
      scope: handlers.scope,
      treatment: this.#treatment,
      // Nothing is read before onPrepare has been called.
      window: handlers.onPrepare === undefined ? handlers.readBufferMax : 0,
      connectionsMax: this.#connectionsMax,
      limit: this.#limit,
      accepted: (opened) => {
        open++
        this.#accept(new Connection(handlers, opened, listener.address))
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
   * Rejects with `ERR_NODEPOLL_DEADLINE` after `deadlineMs`, or when `signal` is aborted; with
   * `force` what remains is reset first. A second call joins the first and may bring its own
   * deadline. A call from inside a handler, before its first `await`, does not wait for the
   * connections of handlers that do so; one that comes later in it waits for ever, or until its
   * deadline.
   * A process warning tells of a shutdown that has waited for handlers for ten seconds.
   *
   * @example
   * ```ts
   * import { createEventLoop } from 'nodepoll'
   *
   * const loop = createEventLoop({})
   * process.once('SIGTERM', () => {
   *   loop.shutdown({ deadlineMs: 10_000, force: true }).catch((error) => {
   *     console.error(error) // some had to be cut off
   *   })
   * })
   * ```
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    checkShutdownOptions(options)
    this.#isShutDown = true
    const drained = this.#drain(startedRuntime()?.dispatcher.running)
    const { deadlineMs, signal, force = false } = options
    if (deadlineMs === undefined && signal === undefined) return drained
    const deadline = new Deadline(deadlineMs, signal)
    const isInTime = await Promise.race([drained.then(() => true), deadline.passed])
    deadline.cancel()
    if (isInTime) return
    const left = this.#connectionCount
    if (force) {
      for (const connection of this.connections()) {
        connection._end({ by: 'shutdown' }, COMMAND_RESET)
      }
    }
    throw failure('ERR_NODEPOLL_DEADLINE', `${left} connections are left`, deadline.cause)
  }

  /** Lets its listeners and connections keep the process alive, as they do at first. */
  ref(): this {
    this.#isReffed = true
    for (const each of [...this.#listeners, ...this.connections()]) each.ref()
    return this
  }

  /** Lets the process end although they are open, those of now and of later. */
  unref(): this {
    this.#isReffed = false
    for (const each of [...this.#listeners, ...this.connections()]) each.unref()
    return this
  }

  /** {@link EventLoop.shutdown} without a deadline, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  #accept(connection: Connection): void {
    this.#connectionCount++
    if (!this.#isReffed) connection.unref()
    connection._opened()
    if (this.#isShutDown) connection._closeWhenIdle()
  }

  #ended(connection: Connection): void {
    this.#connectionCount--
    this.#ending.delete(connection)
    for (const watch of this.#watchers) watch()
  }

  /**
   * Closes everything and waits until all have ended; if a handler waits for it, until those are
   * left whose handlers do.
   */
  async #drain(caller: Connection | undefined): Promise<void> {
    if (caller !== undefined) this.#callers.add(caller)
    const warning = setTimeout(() => this.#warn(), SHUTDOWN_WARNING_MS)
    warning.unref()
    const closed = Array.from(this.#listeners, (listener) => listener.close())
    // At once: peers that a listener has still to let in may wait for the place of one of these.
    for (const connection of this.connections()) connection._closeWhenIdle()
    await Promise.all(closed)
    await this.#until(() => {
      if (this.#connectionCount === 0) return true
      if (caller === undefined) return false
      for (const connection of this.connections()) {
        if (!this.#callers.has(connection)) return false
      }
      return true
    })
    clearTimeout(warning)
  }

  #warn(): void {
    const size = this.#connectionCount
    const pending = startedRuntime()?.dispatcher.handlersPending ?? 0
    process.emitWarning(
      `shutdown() waits for ${size} connections; ${pending} handlers are pending. ` +
        'A handler that waits for shutdown() itself needs a deadlineMs.',
      { code: 'NODEPOLL_SHUTDOWN' },
    )
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
