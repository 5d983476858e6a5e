import { addAbortListener } from 'node:events'

import { Connection } from './connection.ts'
import { failure, manyErrors } from './errors.ts'
import { Attempt, type Failure, failureError, type Target } from './internal/attempt.ts'
import { currentScope } from './internal/dispatcher.ts'
import type { Handlers } from './internal/handlers.ts'
import { DIAL_STEP_MS } from './internal/limits.ts'
import { resolveAddresses } from './internal/resolve.ts'
import { checkDialOptions, type Dialing, type DialOptions } from './options.ts'

/** How a dial has ended without a connection. */
type GivenUp = { readonly failures: readonly Failure[] } | 'late' | 'aborted'

/**
 * Connects to a host and a port, or to a unix socket. The addresses of a name are tried IPv6 and
 * IPv4 in turn; each has 250 ms for itself before the next one is tried as well, and the first that
 * connects is taken (RFC 8305).
 *
 * Rejects with the error of the operating system: `ECONNREFUSED`, `ENOENT`, `ENOTFOUND` …; when
 * several addresses failed, with one that holds all in `errors`; with `ERR_NODEPOLL_DIAL_TIMEOUT`
 * after `timeoutMs`; with the reason of `signal` when it is aborted. Nothing is left open then.
 *
 * The connection keeps the process alive until it ends. Without an `onRequest` its input is read
 * with `connection.reader` and `connection.input`.
 *
 * @example
 * ```ts
 * import { dial } from 'nodepoll'
 *
 * async function ping(port: number): Promise<string> {
 *   const connection = await dial({ host: '127.0.0.1', port })
 *   connection.write('ping')
 *   const pong = await connection.reader.readString(4)
 *   await connection.close()
 *   return pong
 * }
 * ```
 */
export async function dial(options: DialOptions): Promise<Connection> {
  const checked = checkDialOptions(options)
  const { path, host = 'localhost', signal, timeoutMs } = checked
  // A signal that is aborted already opens no socket.
  signal?.throwIfAborted()
  const handlers = dialHandlers(options, checked)
  const race = new Race(checked, handlers)
  try {
    const outcome = await race.run(path === undefined ? resolveAddresses(host) : [path])
    if (outcome instanceof Connection) return outcome
    // Made here, where the caller's stack is known.
    if (outcome === 'aborted') throw signal?.reason
    if (outcome === 'late') {
      throw failure('ERR_NODEPOLL_DIAL_TIMEOUT', `no connection within ${timeoutMs} ms`)
    }
    throw manyErrors(outcome.failures.map(failureError))
  } finally {
    race.end()
  }
}

function dialHandlers(options: DialOptions, { treatment }: Dialing): Handlers {
  return {
    ...treatment,
    onPrepare: undefined,
    onConnect: undefined,
    onRequest: options.onRequest as Handlers['onRequest'],
    onDisconnect: options.onDisconnect as Handlers['onDisconnect'],
    onError: options.onError,
    scope: currentScope(),
    owner: undefined,
    closed: () => {},
    ended: () => {},
  }
}

/** The attempts to connect to the addresses of one name, of which one wins. */
class Race {
  readonly #checked: Dialing
  readonly #handlers: Handlers
  readonly #attempts: Set<Attempt> = new Set()
  readonly #failures: Failure[] = []
  #targets: Target[] = []
  /** Runs until all of it has taken too long. */
  #timer: NodeJS.Timeout | undefined
  /** Runs until the next address is tried. */
  #step: NodeJS.Timeout | undefined
  #subscription: Disposable | undefined
  #finish: (outcome: Connection | GivenUp) => void = () => {}
  #isOver = false

  constructor(checked: Dialing, handlers: Handlers) {
    this.#checked = checked
    this.#handlers = handlers
  }

  /** Rejects if the addresses do. */
  async run(addresses: string[] | Promise<string[]>): Promise<Connection | GivenUp> {
    const { signal, timeoutMs, path, port } = this.#checked
    const outcome = new Promise<Connection | GivenUp>((resolve) => (this.#finish = resolve))
    if (timeoutMs > 0) this.#timer = setTimeout(() => this.#giveUp('late'), timeoutMs)
    if (signal !== undefined) {
      this.#subscription = addAbortListener(signal, () => this.#giveUp('aborted'))
    }
    const found = await Promise.race([addresses, outcome])
    if (!Array.isArray(found)) return found
    this.#targets = found.map((host) => ({ host, port: path === undefined ? port : undefined }))
    this.#startNext()
    return outcome
  }

  /** Gives up what has not won. */
  end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    clearTimeout(this.#step)
    this.#subscription?.[Symbol.dispose]()
    for (const attempt of this.#attempts) attempt.cancel()
  }

  /** From now on nothing wins: a connection may be told of before `end` is called. */
  #giveUp(outcome: GivenUp): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#finish(outcome)
  }

  #startNext(): void {
    const target = this.#targets.shift()
    if (target === undefined) {
      if (this.#attempts.size === 0) this.#finish({ failures: this.#failures })
      return
    }
    const attempt: Attempt = new Attempt(target, this.#checked, this.#handlers, {
      connected: (connection) => {
        this.#attempts.delete(attempt)
        if (this.#isOver) connection.destroy()
        else this.#win(connection)
      },
      failed: (reason) => {
        this.#attempts.delete(attempt)
        if (this.#isOver) return
        this.#failures.push(reason)
        this.#startNext()
      },
    })
    this.#attempts.add(attempt)
    attempt.begin()
    // If it has failed at once, the next one has begun already.
    if (!this.#attempts.has(attempt) || this.#targets.length === 0) return
    clearTimeout(this.#step)
    this.#step = setTimeout(() => this.#startNext(), DIAL_STEP_MS)
  }

  #win(connection: Connection): void {
    this.#isOver = true
    this.#finish(connection)
    connection._opened()
  }
}
