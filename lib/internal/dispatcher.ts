import { AsyncResource } from 'node:async_hooks'

import type { Connection } from '../connection.ts'
import { laneFailedError } from '../errors.ts'
import type { NativeRuntime } from '../native/index.ts'
import * as record from '../native/record.ts'
import { type Address, type PackedAddress, readAddress, RepeatedAddress } from './address.ts'
import { type CloseReason, reasonOf } from './close-reason.ts'
import type { Lane } from './lane.ts'
import { CHUNK_BYTES, EVENTS_MAX, HAND_OVER_MS, TURNS_MAX } from './limits.ts'
import type { Memory } from './memory.ts'
import { now } from './patience.ts'

/**
 * The asynchronous context in which a loop was created or a dial called. `AsyncLocalStorage` has a
 * shorter way to say this, which costs 3 µs for a lone message.
 */
export type Scope = AsyncResource

/** The context of the caller. It ends with its last reference. */
export function currentScope(): Scope {
  return new AsyncResource('NODEPOLL', { requireManualDestroy: true })
}

/** Which connection an event is about, and where it lies. */
export interface Opened {
  readonly lane: Lane<Connection>
  readonly slot: number
  readonly generation: number
  /** `undefined` for a unix socket. */
  readonly remote: PackedAddress | undefined
  readonly local: Address | undefined
}

/** Who hears of the events of one lane that are not about a connection. */
interface Sink {
  readonly lane: Lane<Connection>
  failed(errno: number): void
  /** A driver has panicked; if it was its own, the socket is gone with it. */
  laneFailed(isOwn: boolean): void
}

/** Who hears of a listener's events. */
export interface ListenerSink extends Sink {
  readonly scope: Scope | undefined
  accepted(opened: Opened): void
  closed(accepted: number): void
}

/** Who hears what becomes of a dial. */
export interface DialSink extends Sink {
  connected(opened: Opened): void
}

/**
 * The beat of the JavaScript side: hands over commands, takes events, calls whom they concern.
 *
 * One exchange a batch. Commands written while events are dispatched go over with the exchange
 * that follows; those written elsewhere, in promise continuations and timers, after the microtask
 * queue has drained. User code runs in here and nowhere inside `write`, `flush` or `close`.
 */
export class Dispatcher {
  readonly lanes: readonly Lane<Connection>[]
  readonly memory: Memory
  readonly listeners: Map<number, ListenerSink> = new Map()
  readonly dials: Map<number, DialSink> = new Map()
  readonly #native: NativeRuntime
  readonly #control: Int32Array
  readonly #crossOver: () => void
  /** Handlers that have returned a promise which is pending. */
  handlersPending = 0
  /** The connection whose handler runs right now, up to its first `await`. */
  running: Connection | undefined
  #held = 0
  #numbers = 0
  /** The events in hand are being dispatched, or an exchange is certain to come. */
  #isBusy = false
  #hasContinuations = false
  #eventsLeft = 0

  constructor(
    native: NativeRuntime,
    control: Int32Array,
    lanes: readonly Lane<Connection>[],
    memory: Memory,
    crossOver: () => void,
  ) {
    this.#native = native
    this.#control = control
    this.lanes = lanes
    this.memory = memory
    this.#crossOver = crossOver
    for (const lane of lanes) lane.dispatcher = this
  }

  /** A number for a listener or a dial, unique in this environment for as long as it is in use. */
  nextNumber(): number {
    this.#numbers = (this.#numbers + 1) | 0
    return this.#numbers
  }

  /** Something is open that keeps the process alive. */
  hold(): void {
    if (this.#held++ === 0) this.#native.hold(true)
  }

  /** The counterpart of `hold`. */
  unhold(): void {
    if (--this.#held === 0) this.#native.hold(false)
  }

  /** Commands have been written: sees to it that they are handed over. */
  schedule(): void {
    if (this.#isBusy) return
    this.#isBusy = true
    process.nextTick(this.pump)
  }

  /** Continuations of promises have become due: they run before the next events. */
  yieldToContinuations(): void {
    this.#hasContinuations = true
  }

  /**
   * Exchanges and dispatches until nothing is left, or until the rest of the process is due.
   * `areShown`: there are events which need no exchange to be seen.
   */
  readonly pump = (areShown?: boolean): void => {
    this.#isBusy = true
    let finished = false
    this.#eventsLeft = EVENTS_MAX
    try {
      finished = this.#run(areShown === true)
    } finally {
      // Also after an exception of our own: the events that are left are not lost.
      if (!finished) setImmediate(this.pump)
    }
  }

  /** Whether nothing has to be done until the doorbell rings or commands are written. */
  #run(areShown: boolean): boolean {
    for (let turn = 0; ; turn++) {
      if (turn > 0 || !areShown) this.#exchange()
      else for (const lane of this.lanes) lane.load()
      if (this.#control[record.CONTROL_LANES_READY] === 0) {
        this.#isBusy = false
        return !this.lanes.some((lane) => lane.overflows)
      }
      if (turn === TURNS_MAX || this.#eventsLeft <= 0) return false
      this.#dispatch()
      if (this.#hasContinuations) {
        this.#hasContinuations = false
        // From a microtask, so that it runs when no microtask is left.
        queueMicrotask(this.#pumpNext)
        return true
      }
    }
  }

  /**
   * Hands over what was written, and dispatches nothing: for the end of the process. Waits for as
   * long as that takes an I/O thread, within limits.
   */
  handOver(): void {
    const until = now() + HAND_OVER_MS
    do {
      this.#exchange()
    } while (this.lanes.some((lane) => lane.hasCommands) && now() < until)
  }

  readonly #pumpNext = (): void => {
    process.nextTick(this.pump)
  }

  #exchange(): void {
    this.memory.rests.trim()
    this.memory.settle()
    for (const lane of this.lanes) lane.store()
    this.#crossOver()
    this.memory.settled()
    for (const lane of this.lanes) lane.load()
  }

  #dispatch(): void {
    for (const lane of this.lanes) {
      while (lane.eventHead !== lane.eventTail && this.#eventsLeft > 0) {
        const scope = this.#scopeOf(lane, lane.eventAt(lane.eventHead))
        if (scope === undefined) {
          this.#dispatchIn(lane, scope)
        } else {
          scope.runInAsyncScope(this.#dispatchIn, this, lane, scope)
        }
      }
    }
  }

  /** Dispatches events as long as they belong to the same asynchronous context. */
  #dispatchIn(lane: Lane<Connection>, scope: Scope | undefined): void {
    const { events, eventTail } = lane
    do {
      const at = lane.eventAt(lane.eventHead)
      // First, so that an event is dispatched once, whatever comes of it.
      lane.eventHead = (lane.eventHead + 1) | 0
      this.#eventsLeft--
      if (events[at] === record.EVENT_DATA) {
        const connection = lane.connections[events[at + record.SLOT] as number]
        if (connection === undefined) {
          this.memory.release(events[at + record.NODE] as number)
          continue
        }
        connection._noteSent(events[at + record.SENT] as number)
        connection._received(
          events[at + record.NODE] as number,
          events[at + record.OFFSET] as number,
          events[at + record.LENGTH] as number,
          events[at + record.FRONT] as number,
        )
      } else {
        this.#dispatchOther(lane, at)
      }
    } while (
      lane.eventHead !== eventTail &&
      this.#eventsLeft > 0 &&
      this.#scopeOf(lane, lane.eventAt(lane.eventHead)) === scope
    )
  }

  #dispatchOther(lane: Lane<Connection>, at: number): void {
    const { events } = lane
    const word = (name: number): number => events[at + name] as number
    const connection = lane.connections[word(record.SLOT)]
    switch (word(record.KIND)) {
      case record.EVENT_ACCEPTED:
        this.listeners.get(word(record.LISTENER))?.accepted(opened(lane, at))
        break
      case record.EVENT_CONNECTED:
        this.dials.get(word(record.DIAL))?.connected(opened(lane, at))
        break
      case record.EVENT_DIAL_FAILED:
        this.dials.get(word(record.DIAL))?.failed(word(record.ERRNO))
        break
      case record.EVENT_END:
        connection?._noteSent(word(record.SENT))
        connection?._peerEnded()
        break
      case record.EVENT_DRAINED:
        connection?._noteSent(word(record.SENT))
        connection?._outputTaken()
        break
      case record.EVENT_QUIET:
        connection?._noteSent(word(record.SENT))
        connection?._quiet()
        break
      case record.EVENT_IDLE:
        connection?._noteSent(word(record.SENT))
        connection?._idle(word(record.IDLE_MILLIS))
        break
      case record.EVENT_CLOSED:
        connection?._noteSent(word(record.SENT))
        connection?._closed(reasonOf(word(record.REASON), word(record.ERRNO), word(record.SYSCALL)))
        break
      case record.EVENT_LISTENER_CLOSED:
        this.listeners.get(word(record.LISTENER))?.closed(word(record.ACCEPTED))
        break
      case record.EVENT_LISTENER_ERROR:
        this.listeners.get(word(record.LISTENER))?.failed(word(record.ERRNO))
        break
      case record.EVENT_NEED_MEMORY:
        if (!this.memory.grant(CHUNK_BYTES)) this.#runShort()
        break
      case record.EVENT_FAILED:
        this.#laneFailed(lane)
        break
      default:
        throw new Error(`an event of unknown kind ${word(record.KIND)}`)
    }
  }

  #scopeOf(lane: Lane<Connection>, at: number): Scope | undefined {
    const { events } = lane
    const kind = events[at] as number
    if (kind === record.EVENT_ACCEPTED) {
      return this.listeners.get(events[at + record.LISTENER] as number)?.scope
    }
    const connection = lane.connections[events[at + record.SLOT] as number]
    return connection?._handlers.scope
  }

  /** Sockets wait for memory, and there is no more to be granted. */
  #runShort(): void {
    this.memory.isShort = true
    this.memory.rests.compactAll()
    this.relieve()
  }

  /**
   * Provides room for the read that has waited longest: what is held may be parts of messages whose
   * rest could not be received, so that nothing would ever come back.
   */
  relieve(): void {
    let oldest: Connection | undefined
    let since = Infinity
    for (const lane of this.lanes) {
      for (const connection of lane.connections) {
        if (connection === undefined || connection._waitingSince >= since) continue
        if (connection._intake.isProvided) continue
        oldest = connection
        since = connection._waitingSince
      }
    }
    oldest?._intake.provide(true)
  }

  /** A driver has panicked: all that it had is gone. */
  #laneFailed(lane: Lane<Connection>): void {
    const reason: CloseReason = { by: 'error', error: laneFailedError() }
    for (const connection of lane.connections) connection?._closed(reason)
    for (const sink of [...this.listeners.values(), ...this.dials.values()]) {
      sink.laneFailed(sink.lane === lane)
    }
  }
}

/** Our end of most connections is the address of one listener. */
const locals = new RepeatedAddress()

function opened(lane: Lane<Connection>, at: number): Opened {
  return {
    lane,
    slot: lane.events[at + record.SLOT] as number,
    generation: lane.events[at + record.GENERATION] as number,
    remote: readAddress(lane.events, at + record.REMOTE),
    local: locals.read(lane.events, at + record.LOCAL),
  }
}
