import type { Address, InetAddress, UnixAddress } from './internal/address.ts'
import { createEventLoop, type EventLoop } from './event-loop.ts'
import { createListener, type Listener } from './listener.ts'
import type { EventLoopOptions, ListenOptions, ShutdownOptions } from './options.ts'

/**
 * A listener and the loop that serves it: what {@link serve} resolves with. It keeps the process
 * alive until it is shut down, or closed and all its connections have ended.
 */
export class Server<A extends Address = Address> {
  /** The loop, for its connections. */
  readonly loop: EventLoop
  /** Settles when the listener is closed and all connections have ended. Never rejects. */
  readonly finished: Promise<void>
  readonly #listener: Listener<A>

  /** @internal */
  constructor(loop: EventLoop, listener: Listener<A>) {
    this.loop = loop
    this.#listener = listener
    this.finished = loop.serve(listener)
  }

  /** Where it listens, with the port that was picked. */
  get address(): A {
    return this.#listener.address
  }

  /** Stops accepting; connections go on. See {@link Listener.close}. */
  close(): Promise<void> {
    return this.#listener.close()
  }

  /** Lets the listener and the loop's connections keep the process alive, as they do at first. */
  ref(): this {
    this.loop.ref()
    return this
  }

  /** Lets the process end although the listener and connections of the loop are open. */
  unref(): this {
    this.loop.unref()
    return this
  }

  /** Stops accepting and closes connections as they become idle. See {@link EventLoop.shutdown}. */
  shutdown(options?: ShutdownOptions): Promise<void> {
    return this.loop.shutdown(options)
  }

  /** {@link Server.shutdown} without a deadline, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }
}

/**
 * Listens and serves: the common case in one call. Resolves when connections are accepted.
 *
 * Rejects as {@link createListener} does.
 *
 * @example
 * ```ts
 * import { serve } from 'nodepoll'
 *
 * const server = await serve({
 *   host: '127.0.0.1',
 *   port: 0,
 *   onRequest({ input, writer }) {
 *     writer.append(input).flush()
 *   },
 * })
 * console.log('echoing on', server.address.port)
 * await server.shutdown()
 * ```
 */
export function serve<C = undefined>(
  options: ListenOptions & EventLoopOptions<C> & { path?: undefined },
): Promise<Server<InetAddress>>
export function serve<C = undefined>(
  options: ListenOptions & EventLoopOptions<C> & { path: string },
): Promise<Server<UnixAddress>>
export function serve<C = undefined>(options: ListenOptions & EventLoopOptions<C>): Promise<Server>
export async function serve<C = undefined>(
  options: ListenOptions & EventLoopOptions<C>,
): Promise<Server> {
  const loop = createEventLoop<C>(options)
  return new Server(loop, await createListener(options))
}
