import { failure } from './errors.ts'
import { CHUNK_BYTES, MEMORY_MAX_MAX, POLLERS_MAX } from './internal/limits.ts'
import { HOSTS } from './internal/host.ts'
import { settle, startedRuntime } from './internal/runtime.ts'
import { checkInteger, checkObject, checkOneOf, checkOptionalBoolean } from './internal/validate.ts'
import type { NativeStats } from './native/index.ts'

const LOAD_BALANCES = ['roundRobin', 'random', 'leastConnections']

/** What the runtime of this environment (main thread or worker) is made of. */
export interface RuntimeOptions {
  /**
   * Who waits for the sockets and turns the event loop that serves them. `'thread'`: I/O threads,
   * which leave the JavaScript thread to your code. `'inline'`: the JavaScript thread itself,
   * inside its own event loop, which is the shortest way for a lone message. `'auto'`: inline
   * while few sockets are busy at a time, a thread when there are many; where the runtime's event
   * loop cannot do it, as in Bun and Deno, always a thread.
   *
   * @default process.env.NODEPOLL_HOST, else 'auto'
   */
  host?: 'auto' | 'thread' | 'inline'
  /**
   * I/O threads.
   *
   * @default max(1, min(4, availableParallelism() - 1))
   */
  pollers?: number
  /**
   * Which I/O thread gets the next connection: each in turn, any, or the one with the fewest.
   *
   * @default 'roundRobin'
   */
  loadBalance?: 'roundRobin' | 'random' | 'leastConnections'
  /**
   * Bytes of the arena, all connections together. At the limit sockets pause, none fails; the
   * read that has waited longest gets what it waits for, up to a quarter more. Neither unread input
   * nor output that peers do not take can have all of it.
   *
   * @default 1 GiB
   */
  memoryMax?: number
  /**
   * Finds views that are used too late: each view is memory of its own, a copy, that is detached at
   * its end (`release()`, `flush()` for those of `malloc`, the automatic release after
   * `onRequest`). A late look finds no bytes, a late `write…` throws. For tests: it costs a copy a
   * view, and nothing when it is off.
   *
   * @default process.env.NODEPOLL_GUARD === '1'
   */
  guard?: boolean
}

/** Counts since the start, and what is open now. */
export interface RuntimeStats {
  /** I/O threads, each with a driver of its own. */
  readonly pollers: number
  /** Connections that are open now, accepted and dialled, and dials that are under way. */
  readonly connections: number
  /** Listeners that are open now. */
  readonly listeners: number
  /** Handlers that have returned a promise which is pending. */
  readonly handlersPending: number
  /** Bytes granted to the arena. */
  readonly arenaBytes: number
  /** Bytes of the nodes that JavaScript holds. */
  readonly arenaBytesLeased: number
  /**
   * Bytes that slices refer to which have not been given back. Where it is much less than
   * `arenaBytesLeased`, short slices hold long nodes: copy what is to be kept.
   */
  readonly arenaBytesSliced: number
  /** Leases that JavaScript holds. */
  readonly arenaLeases: number
  /** Connections that were accepted. */
  readonly accepts: number
  /** Attempts to connect to an address, those that failed included. */
  readonly dials: number
  /** Bytes received, of all connections. */
  readonly bytesRead: number
  /** Bytes that the kernel has taken, of all connections. */
  readonly bytesWritten: number
  /** Receiving system calls. */
  readonly reads: number
  /** Sending system calls. */
  readonly writes: number
  /** Times that JavaScript called into native code for a batch. */
  readonly exchanges: number
  /** Times that a driver has changed hands between an I/O thread and JavaScript. */
  readonly switches: number
  /** Times that an I/O thread had to wake JavaScript. */
  readonly wakeupsOfHost: number
  /** Times that JavaScript, or another I/O thread, had to wake an I/O thread. */
  readonly wakeupsOfPoller: number
  /** Turns of the I/O threads. */
  readonly turns: number
  /** Batches that JavaScript sent by itself while the I/O thread slept. */
  readonly drives: number
  /** Events that drivers have told JavaScript of. */
  readonly events: number
  /** Commands that JavaScript has given to drivers. */
  readonly commands: number
  /** Commands for connections that had ended. */
  readonly staleCommands: number
  /** Releases that named no lease: above zero is an error of nodepoll. */
  readonly staleLeases: number
  /**
   * Bytes copied by nodepoll: by calls that write or read a copy, to put together what lies in
   * several nodes, and so that a short rest does not hold a node. `append` and views copy nothing.
   */
  readonly bytesCopied: number
  /** Times that a socket was paused, by cause. */
  readonly pauses: {
    /** JavaScript was late to take events. */
    readonly events: number
    /** `memoryMax` was reached. */
    readonly memory: number
    /** A connection had `readBufferMax` bytes of unread input. */
    readonly input: number
    /** Input came while reading was paused by `pause()`. */
    readonly user: number
  }
}

/**
 * Chooses what the runtime of this environment is made of. Call it before anything else.
 *
 * @throws `ERR_NODEPOLL_ALREADY_STARTED` once something has been listened on or dialled.
 * @throws `ERR_NODEPOLL_UNSUPPORTED` for the host `'inline'` where there is none.
 *
 * @example
 * ```ts
 * import { configure } from 'nodepoll'
 *
 * configure({ pollers: 2, memoryMax: 256 << 20 })
 * ```
 */
export function configure(options: RuntimeOptions): void {
  checkObject(options, 'options')
  const { host, pollers, loadBalance, memoryMax, guard } = options
  if (host !== undefined) checkOneOf(host, 'options.host', HOSTS)
  if (loadBalance !== undefined) {
    checkOneOf(loadBalance, 'options.loadBalance', LOAD_BALANCES)
  }
  if (pollers !== undefined) checkInteger(pollers, 'options.pollers', 1, POLLERS_MAX)
  if (memoryMax !== undefined) {
    checkInteger(memoryMax, 'options.memoryMax', 4 * CHUNK_BYTES, MEMORY_MAX_MAX)
  }
  checkOptionalBoolean(guard, 'options.guard', false)
  if (startedRuntime() !== undefined) {
    throw failure('ERR_NODEPOLL_ALREADY_STARTED', 'configure() comes before anything else')
  }
  settle({
    ...(host === undefined ? {} : { host }),
    ...(pollers === undefined ? {} : { pollers }),
    ...(loadBalance === undefined ? {} : { loadBalance }),
    ...(memoryMax === undefined ? {} : { memoryMax }),
    ...(guard === undefined ? {} : { guard }),
  })
}

/**
 * What the runtime has done so far and what it holds. Before its first use all is zero.
 *
 * @example
 * ```ts
 * import { stats } from 'nodepoll'
 *
 * console.log(stats().connections, 'connections are open')
 * ```
 */
export function stats(): RuntimeStats {
  const started = startedRuntime()
  const counts = started?.native.stats()
  const count = (name: keyof NativeStats): number => counts?.[name] ?? 0
  return {
    pollers: count('pollers'),
    connections: count('connections'),
    listeners: count('listeners'),
    handlersPending: started?.dispatcher.handlersPending ?? 0,
    arenaBytes: count('arenaBytes'),
    arenaBytesLeased: count('arenaBytesLeased'),
    arenaBytesSliced: started?.dispatcher.memory.bytesSliced ?? 0,
    arenaLeases: count('arenaLeases'),
    accepts: count('accepts'),
    dials: count('dials'),
    bytesRead: count('bytesRead'),
    bytesWritten: count('bytesWritten'),
    reads: count('reads'),
    writes: count('writes'),
    exchanges: count('exchanges'),
    switches: count('switches'),
    wakeupsOfHost: count('wakeupsOfHost'),
    wakeupsOfPoller: count('wakeupsOfPoller'),
    turns: count('turns'),
    drives: count('drives'),
    events: count('events'),
    commands: count('commands'),
    staleCommands: count('staleCommands'),
    staleLeases: count('staleLeases'),
    bytesCopied: count('bytesCopied') + (started?.dispatcher.memory.bytesCopied ?? 0),
    pauses: {
      events: count('pausesForEvents'),
      memory: count('pausesForMemory'),
      input: count('pausesForInput'),
      user: count('pausesByHost'),
    },
  }
}
