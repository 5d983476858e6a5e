import { addAbortListener } from 'node:events'

import type { Connection } from './connection.ts'
import { failure, isUnsupported, laneFailedError, systemError } from './errors.ts'
import { type Address, addressOf, type InetAddress, type UnixAddress } from './internal/address.ts'
import type { Dispatcher, Opened, Scope } from './internal/dispatcher.ts'
import type { Lane } from './internal/lane.ts'
import { resolveAddresses } from './internal/resolve.ts'
import { currentRuntime, type Runtime } from './internal/runtime.ts'
import type { NativeOutcome, NativeRuntime } from './native/index.ts'
import { COMMAND_ACCEPT, COMMAND_CLOSE_LISTENER } from './native/record.ts'
import {
  type CheckedTreatment,
  checkListenOptions,
  keepAliveWords,
  type Listening,
  type ListenOptions,
} from './options.ts'

/** What an event loop wants to know of a listener that it serves. */
export interface ListenerOwner {
  readonly scope: Scope
  readonly treatment: CheckedTreatment
  /** Bytes that a connection may receive before anything is said of it. */
  readonly window: number
  /** Connections that may be open, and the number by which listeners share that; or 0. */
  readonly connectionsMax: number
  readonly limit: number
  accepted(opened: Opened): void
  failed(error: Error): void
}

/**
 * A bound and listening socket, made by {@link createListener}. Connections wait in the kernel, up
 * to `backlog` of them, until a loop serves it.
 *
 * An open listener keeps the process alive.
 */
export class Listener<A extends Address = Address> {
  /** Where it listens, with the port that was picked. */
  readonly address: A
  /** @internal */
  readonly lane: Lane<Connection>
  readonly #native: NativeRuntime
  readonly #dispatcher: Dispatcher
  readonly #number: number
  #owner: ListenerOwner | undefined
  #isClosing = false
  #accepted = 0
  /** How many were accepted in all, once the driver has told. */
  #expected = -1
  /** A lane has failed, and connections that were on their way to it are lost. */
  #mayMissSome = false
  #closed: Promise<void>
  #resolveClosed: () => void = () => {}
  #isReffed = true
  #isOver = false

  /** @internal */
  constructor({ native, dispatcher }: Runtime, lane: Lane<Connection>, number: number, address: A) {
    this.address = address
    this.#native = native
    this.#dispatcher = dispatcher
    this.lane = lane
    this.#number = number
    this.#closed = new Promise((resolve) => (this.#resolveClosed = resolve))
    dispatcher.listeners.set(number, this)
    dispatcher.hold()
  }

  /**
   * Stops accepting. Resolves when the socket is closed, the path of a unix socket removed and
   * every connection that the kernel had accepted for it is with its loop. Never rejects; each call
   * returns the same promise.
   */
  close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      this.#command(COMMAND_CLOSE_LISTENER)
    }
    return this.#closed
  }

  /** Lets the listener keep the process alive, as it does at first. */
  ref(): this {
    if (!this.#isReffed && !this.#isOver) this.#dispatcher.hold()
    this.#isReffed = true
    return this
  }

  /** Lets the process end although it is open. */
  unref(): this {
    if (this.#isReffed && !this.#isOver) this.#dispatcher.unhold()
    this.#isReffed = false
    return this
  }

  /** {@link Listener.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Begins to accept for a loop. @internal */
  _serve(owner: ListenerOwner): Promise<void> {
    if (this.#owner !== undefined) {
      throw failure('ERR_NODEPOLL_UNSUPPORTED', 'the listener is served by a loop already')
    }
    this.#owner = owner
    if (!this.#isClosing) {
      this.#treat(owner)
      this.#command(COMMAND_ACCEPT, owner.window)
    }
    return this.#closed
  }

  /** Settles when it is closed, whoever closes it. @internal */
  get _closed(): Promise<void> {
    return this.#closed
  }

  /** @internal */
  get scope(): Scope | undefined {
    return this.#owner?.scope
  }

  /** @internal */
  accepted(opened: Opened): void {
    this.#accepted++
    this.#owner?.accepted(opened)
    this.#settle()
  }

  /** @internal */
  failed(errno: number): void {
    this.#owner?.failed(systemError(errno, 'accept'))
  }

  /** @internal */
  laneFailed(isOwn: boolean): void {
    this.#mayMissSome = true
    if (isOwn) {
      this.#owner?.failed(laneFailedError())
      this.closed(this.#accepted)
    } else {
      this.#settle()
    }
  }

  /** @internal */
  closed(accepted: number): void {
    this.#isClosing = true
    this.#expected = accepted
    this.#settle()
  }

  #settle(): void {
    // Connections may have gone to other lanes, whose events come in their own time.
    const isComplete = this.#accepted === this.#expected || this.#mayMissSome
    if (this.#expected < 0 || !isComplete) return
    if (!this.#dispatcher.listeners.delete(this.#number)) return
    this.#isOver = true
    this.#dispatcher.yieldToContinuations()
    if (this.#isReffed) this.#dispatcher.unhold()
    this.#resolveClosed()
  }

  /** Tells the driver what is special about connections. */
  #treat({ treatment, connectionsMax, limit }: ListenerOwner): void {
    const { noDelay, keepAlive } = treatment
    if (noDelay && keepAlive === false && connectionsMax === 0) return
    this.#native.treat(this.lane.index, this.#number >>> 0, {
      noDelay,
      keepAlive: keepAliveWords(keepAlive),
      limit: limit >>> 0,
      limitMax: connectionsMax,
    })
  }

  #command(kind: number, window = 0): void {
    this.lane.commandNumber(kind, this.#number, window)
    this.#dispatcher.schedule()
  }
}

/**
 * Binds and listens. Accepting begins when a loop {@link EventLoop.serve | serves} the listener.
 *
 * Rejects with the error of the operating system: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL` …, or
 * that of the look-up of a host name; with the reason of a signal that is aborted already; and with
 * `ERR_NODEPOLL_UNSUPPORTED` where the system does not know `reusePort` or abstract sockets.
 *
 * @example
 * ```ts
 * import { createEventLoop, createListener } from 'nodepoll'
 *
 * const loop = createEventLoop({
 *   onRequest(connection) {
 *     connection.write(connection.input.next(connection.input.length))
 *   },
 * })
 * const listener = await createListener({ host: '127.0.0.1', port: 0 })
 * const served = loop.serve(listener)
 * await loop.shutdown()
 * await served
 * ```
 */
export function createListener(
  options: ListenOptions & { path?: undefined },
): Promise<Listener<InetAddress>>
export function createListener(
  options: ListenOptions & { path: string },
): Promise<Listener<UnixAddress>>
export function createListener(options: ListenOptions): Promise<Listener>
export async function createListener(options: ListenOptions): Promise<Listener> {
  const checked = checkListenOptions(options)
  const { signal } = checked
  // A signal that is aborted already opens no socket.
  signal?.throwIfAborted()
  const listener = await listen(checked)
  if (signal !== undefined) closeOnAbort(listener, signal)
  return listener
}

function closeOnAbort(listener: Listener, signal: AbortSignal): void {
  if (signal.aborted) {
    void listener.close()
    return
  }
  const subscription = addAbortListener(signal, () => void listener.close())
  void listener._closed.then(() => subscription[Symbol.dispose]())
}

async function listen(checked: Listening): Promise<Listener> {
  if (checked.host === undefined) return bind(checked)
  const [host] = await resolveAddresses(checked.host)
  checked.signal?.throwIfAborted()
  return bind({ ...checked, host })
}

/**
 * Binds and listens at once: who comes from node:net asks for the port right after `listen()`. If
 * there is a host, it is an address.
 */
export function bind(checked: Listening): Listener {
  if (checked.path !== undefined) return listenOn(checked, checked.path)
  if (checked.host !== undefined) return listenOn(checked, undefined)
  try {
    return listenOn({ ...checked, host: '::' }, undefined)
  } catch (error) {
    const { code } = error as { code?: string }
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return listenOn({ ...checked, host: '0.0.0.0' }, undefined)
  }
}

function listenOn(endpoint: Listening, path: string | undefined): Listener {
  const runtime = currentRuntime()
  const { native, dispatcher } = runtime
  const number = dispatcher.nextNumber()
  const outcome: NativeOutcome = native.listen({
    listener: number >>> 0,
    host: endpoint.host ?? null,
    port: endpoint.port,
    path: path ?? null,
    backlog: endpoint.backlog,
    ipv6Only: endpoint.ipv6Only,
    reusePort: endpoint.reusePort,
  })
  if (outcome.hasLoopFailed) throw laneFailedError()
  if (outcome.errno !== 0) {
    if (isUnsupported(outcome.errno)) {
      throw failure('ERR_NODEPOLL_UNSUPPORTED', 'this system does not know such listeners')
    }
    const [address, port] = path === undefined ? [endpoint.host, endpoint.port] : [path]
    throw systemError(outcome.errno, outcome.syscall, address, port)
  }
  const lane = dispatcher.lanes[outcome.lane] as Lane<Connection>
  return new Listener(runtime, lane, number, addressOf(outcome, path))
}
