import type { Connection } from '../connection.ts'
import { dial } from '../dial.ts'
import type { DialOptions } from '../options.ts'
import { ClientSession, type SessionOwner } from './client-session.ts'
import { type RpcError, rpcFailure } from './errors.ts'
import type { Calling, RpcClientOptions } from './options.ts'
import type { PendingCall } from './pending-call.ts'
import { encodePreface } from './preface.ts'

/** What a pool tells of. */
export interface PoolOwner {
  /** Calls that wait for a connection. */
  readonly waitingCount: number
  /** There is room for calls that wait. */
  hasRoom(): void
  /** A call was not begun: it is to be sent elsewhere. */
  refused(call: PendingCall, error: RpcError): void
  /** No target can be reached now, and there is no connection. */
  unreachable(error: unknown): void
}

/**
 * A place for a connection, whichever it is.
 *
 * ```text
 *          a call finds no free one        the server's preface
 *   idle ───────────────────────▶ dialling ───────────────────▶ open
 *    ▲ ▲                             │ no target can be reached   │
 *    │ └─────── waiting ◀────────────┘                            │
 *    │   in time      ▲── it has ended without any answer ────────┤
 *    └──────────────── it has ended, or is to be left ────────────┘
 * ```
 */
interface Place {
  state: 'idle' | 'dialling' | 'open' | 'waiting'
  /** Counts up: which target is next. */
  target: number
  /** Targets that could not be reached since one was. */
  tried: number
  /** Rounds over all targets that have failed in a row. */
  failures: number
  timer: NodeJS.Timeout | undefined
  aborter: AbortController | undefined
}

/** The connections of a client: opened as they are needed, and replaced when they end. */
export class Pool implements SessionOwner {
  readonly #owner: PoolOwner
  readonly #calling: Calling
  readonly #dialing: Omit<DialOptions, 'host' | 'port' | 'path'>
  readonly #places: Place[]
  /** Connections over which calls are sent. */
  readonly #open: ClientSession[] = []
  readonly #placeOf: Map<ClientSession, Place> = new Map()
  /** Connections that have calls to be answered, and get no more. */
  readonly #leaving: Set<ClientSession> = new Set()
  #idleCount: number
  #dialCount = 0
  #looks: NodeJS.Timeout | undefined
  #isReffed = true
  #isOver = false

  constructor(owner: PoolOwner, calling: Calling, options: RpcClientOptions) {
    this.#owner = owner
    this.#calling = calling
    const { localAddress, keepAlive, noDelay, readBufferMax, writeBufferMax } = options
    this.#dialing = defined({ localAddress, keepAlive, noDelay, readBufferMax, writeBufferMax })
    this.#idleCount = calling.connections
    this.#places = Array.from({ length: calling.connections }, (_, index) => ({
      state: 'idle',
      target: index,
      tried: 0,
      failures: 0,
      timer: undefined,
      aborter: undefined,
    }))
  }

  /** Connections over which calls are sent. */
  get size(): number {
    return this.#open.length
  }

  /** The connection with the fewest calls under way, if one takes calls. Opens more if all have. */
  pick(): ClientSession | undefined {
    let best: ClientSession | undefined
    let least = Infinity
    for (const session of this.#open) {
      if (session.underWay >= least || !session.takesCalls) continue
      best = session
      least = session.underWay
    }
    if (least > 0) this.#grow()
    return best
  }

  /** Connections that have calls under way, or may have. */
  *sessions(): IterableIterator<ClientSession> {
    yield* this.#open
    yield* this.#leaving
  }

  setReffed(isReffed: boolean): void {
    this.#isReffed = isReffed
    for (const session of this.sessions()) session.setReffed(isReffed)
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.#end()
    await Promise.all(Array.from(this.#placeOf.keys(), (session) => session.close()))
  }

  /** The same at once. Calls that are under way fail. */
  destroy(error: RpcError): void {
    this.#end()
    for (const session of this.#placeOf.keys()) session.destroy(error)
  }

  #end(): void {
    this.#isOver = true
    clearInterval(this.#looks)
    for (const { timer, aborter } of this.#places) {
      clearTimeout(timer)
      aborter?.abort()
    }
  }

  #grow(): void {
    if (this.#isOver) return
    if (this.#idleCount > 0) {
      const idle = this.#places.find(({ state }) => state === 'idle') as Place
      void this.#dial(idle)
    } else if (this.#open.length === 0) {
      // A call waits for the first that may be dialled again.
      if (this.#isReffed) for (const { timer } of this.#places) timer?.ref()
    }
  }

  async #dial(place: Place): Promise<void> {
    const { targets, connectTimeoutMs, codec, frameMax } = this.#calling
    this.#become(place, 'dialling')
    place.aborter = new AbortController()
    let connection: Connection
    try {
      connection = await dial({
        ...this.#dialing,
        ...targets[place.target++ % targets.length],
        timeoutMs: connectTimeoutMs,
        signal: place.aborter.signal,
        autoRelease: codec.hasViews !== true,
        // Whatever it is, the connection ends with it, and its calls are told.
        onError: () => {},
      })
    } catch (error) {
      if (!this.#isOver) this.#failed(place, error)
      return
    }
    if (this.#isOver || !connection.isActive) {
      // It has ended before anybody could look.
      const { reason } = connection.signal
      connection.destroy()
      if (!this.#isOver) this.#failed(place, reason)
      return
    }
    const session = new ClientSession(connection, codec, frameMax, this)
    this.#placeOf.set(session, place)
    session.setReffed(this.#isReffed)
    if (connectTimeoutMs > 0) this.#limit(place, session, connectTimeoutMs)
    connection.write(encodePreface({ frameMax, concurrencyMax: 0, codec: codec.name }))
    connection.setOnRequest(() => session.receive())
  }

  /** Gives a server so much time for its preface. */
  #limit(place: Place, session: ClientSession, ms: number): void {
    const what = `the server has not said within ${ms} ms what it speaks`
    place.timer = setTimeout(
      () => session.destroy(rpcFailure('ERR_NODEPOLL_RPC_PREFACE', what)),
      ms,
    )
  }

  ready(session: ClientSession): void {
    const place = this.#placeOf.get(session) as Place
    clearTimeout(place.timer)
    place.tried = 0
    this.#become(place, 'open')
    this.#open.push(session)
    this.#look()
    this.hasRoom()
  }

  hasRoom(): void {
    if (this.#owner.waitingCount > 0) this.#owner.hasRoom()
  }

  refused(call: PendingCall, error: RpcError): void {
    this.#owner.refused(call, error)
  }

  leaving(session: ClientSession, error: RpcError): void {
    const place = this.#remove(session)
    if (place === undefined) return
    this.#leaving.add(session)
    this.#replace(session, place, error)
  }

  lost(session: ClientSession, error: unknown): void {
    const place = this.#remove(session)
    this.#leaving.delete(session)
    const was = this.#placeOf.get(session) as Place
    this.#placeOf.delete(session)
    if (this.#isOver) return
    if (place !== undefined) this.#replace(session, place, error)
    else if (!session.wasReady) this.#failed(was, error)
  }

  /** Takes no more calls. Its place, if it has still had it. */
  #remove(session: ClientSession): Place | undefined {
    const index = this.#open.indexOf(session)
    if (index < 0) return undefined
    this.#open.splice(index, 1)
    return this.#placeOf.get(session)
  }

  #replace(session: ClientSession, place: Place, error: unknown): void {
    if (!session.hasWorked) {
      this.#failed(place, error)
      return
    }
    place.failures = 0
    this.#become(place, 'idle')
    if (this.#owner.waitingCount > 0) this.#grow()
  }

  /** Tries the next target, or after all of them waits. */
  #failed(place: Place, error: unknown): void {
    clearTimeout(place.timer)
    if (++place.tried < this.#calling.targets.length) {
      this.#become(place, 'idle')
      if (this.#owner.waitingCount > 0) void this.#dial(place)
      return
    }
    place.tried = 0
    this.#become(place, 'waiting')
    place.timer = setTimeout(() => this.#tryAgain(place), this.#backoff(place.failures++))
    place.timer.unref()
    if (this.#open.length === 0 && this.#dialCount === 0) this.#owner.unreachable(error)
  }

  /** Half of it is left to chance, so that the clients of a server do not all come at once. */
  #backoff(failures: number): number {
    const { backoffMs, backoffMaxMs } = this.#calling
    const full = Math.min(backoffMs * 2 ** failures, backoffMaxMs)
    return full * (1 - Math.random() / 2)
  }

  #tryAgain(place: Place): void {
    place.timer = undefined
    this.#become(place, 'idle')
    if (this.#owner.waitingCount > 0) this.#grow()
  }

  #become(place: Place, state: Place['state']): void {
    if (place.state === 'idle') this.#idleCount--
    if (place.state === 'dialling') this.#dialCount--
    place.state = state
    if (state === 'idle') this.#idleCount++
    if (state === 'dialling') this.#dialCount++
  }

  /** Looks from time to time whether servers are there, as long as there are connections. */
  #look(): void {
    const { pingMs } = this.#calling
    if (pingMs === 0 || this.#looks !== undefined) return
    this.#looks = setInterval(() => {
      // Those that are given up leave the list that is gone through.
      const sessions = Array.from(this.sessions())
      for (const session of sessions) session.look()
      if (this.#placeOf.size > 0) return
      clearInterval(this.#looks)
      this.#looks = undefined
    }, pingMs)
    this.#looks.unref()
  }
}

/** The options that are given. */
function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
