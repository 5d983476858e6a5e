import type { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'

import { failure, invalidArgType } from '../errors.ts'
import { Deadline } from '../internal/deadline.ts'
import { checkShutdownOptions, type ShutdownOptions } from '../options.ts'
import { IDLE_LOOK_MS } from './limits.ts'
import type { ServerListenOptions, ServerOptions } from './options.ts'
import { Server } from './server.ts'
import type { Socket } from './socket.ts'

/** What a server may have that takes sockets by its event 'connection'. */
interface Attachable extends EventEmitter {
  readonly allowHalfOpen?: boolean
  closeIdleConnections?(): void
  close?(): unknown
}

/** What ends in its own time when it is asked to: a session of http2. */
interface Session {
  close(): void
  once(event: 'close', listener: () => void): unknown
}

/**
 * A server of another library on a nodepoll listener: what {@link attach} resolves with. It keeps
 * the process alive until it is shut down.
 */
export class Attached {
  readonly #target: Attachable
  readonly #server: Server
  readonly #sockets: Set<Socket> = new Set()
  readonly #sessions: Set<Session> = new Set()
  #address: AddressInfo | string
  #closed: Promise<void> | undefined
  #resolveClosed: () => void = () => {}
  #drained: Promise<void> | undefined

  /** @internal */
  constructor(target: Attachable, server: Server) {
    this.#target = target
    this.#server = server
    this.#address = server.address() as AddressInfo | string
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        this.#settle()
      })
      // As every server of node:net does; http looks at it.
      socket.server = target
      target.emit('connection', socket)
    })
    target.on('session', (session: Session) => {
      this.#sessions.add(session)
      session.once('close', () => this.#sessions.delete(session))
    })
    // Servers of node:http begin to watch over their timeouts now.
    target.emit('listening')
  }

  /** Where it listens: an object, or the path of a unix socket. */
  get address(): AddressInfo | string {
    return this.#address
  }

  /** How many sockets are open. */
  get connectionCount(): number {
    return this.#sockets.size
  }

  /**
   * Stops accepting; sockets go on. Resolves when they have ended, too. Each call returns the same
   * promise, which never rejects.
   */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = new Promise((resolve) => (this.#resolveClosed = resolve))
      this.#server.once('close', () => this.#settle()).close()
    }
    return this.#closed
  }

  /**
   * Stops accepting, ends what is idle and lets the rest finish: requests of http are answered,
   * with `Connection: close`, sessions of http2 take no new streams, connections without a byte are
   * closed. Sockets of other protocols, and upgraded ones, are waited for: end them first, or give
   * a deadline. Resolves when no socket is left, and the other server has been closed.
   *
   * Rejects with `ERR_NODEPOLL_DEADLINE` after `deadlineMs`, or when `signal` is aborted; with
   * `force` what remains is reset first.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    checkShutdownOptions(options)
    this.#drained ??= this.#drain()
    const { deadlineMs, signal, force = false } = options
    if (deadlineMs === undefined && signal === undefined) return this.#drained
    const deadline = new Deadline(deadlineMs, signal)
    const isInTime = await Promise.race([this.#drained.then(() => true), deadline.passed])
    deadline.cancel()
    if (isInTime) return
    const left = this.#sockets.size
    if (force) for (const socket of this.#sockets) socket.resetAndDestroy()
    throw failure('ERR_NODEPOLL_DEADLINE', `${left} connections are left`, deadline.cause)
  }

  /** {@link Attached.shutdown} without a deadline, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  /** A server has emitted 'close' when its last socket is destroyed, which tells of that later. */
  #settle(): void {
    if (!this.#server.listening && this.#sockets.size === 0) this.#resolveClosed()
  }

  async #drain(): Promise<void> {
    const target = this.#target
    target.prependListener('request', answerLast)
    for (const session of this.#sessions) session.close()
    const closed = this.close()
    const look = setInterval(() => this.#endIdle(), IDLE_LOOK_MS)
    await closed
    clearInterval(look)
    target.off('request', answerLast)
    // It does not listen, and tells its own listeners that it has ended.
    target.close?.()
  }

  #endIdle(): void {
    this.#target.closeIdleConnections?.()
    for (const session of this.#sessions) session.close()
    for (const socket of this.#sockets) {
      if (socket.bytesRead === 0 && socket.bytesWritten === 0) socket.destroySoon()
    }
  }
}

/** What is asked from now on is the last on its connection. */
function answerLast(_: unknown, response: { shouldKeepAlive?: boolean }): void {
  response.shouldKeepAlive = false
}

/** Options of {@link attach}: where to listen, and how sockets are treated. */
export interface AttachOptions
  extends
    ServerListenOptions,
    Pick<ServerOptions, 'keepAlive' | 'keepAliveInitialDelay' | 'noDelay'> {}

/**
 * Runs a server that takes sockets by its event 'connection' on a nodepoll listener: those of
 * node:http, https, http2 and tls, with all that is built on them, and any other `net.Server`. The
 * server must not listen itself.
 *
 * Rejects with the error of the operating system if it cannot listen.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { attach } from 'nodepoll/stream'
 *
 * const server = createServer((_, response) => response.end('hello\n'))
 * const attached = await attach(server, { host: '127.0.0.1', port: 0 })
 * console.log(attached.address)
 * await attached.shutdown({ deadlineMs: 10_000, force: true })
 * ```
 */
export async function attach(target: EventEmitter, options: AttachOptions): Promise<Attached> {
  if (typeof (target as Partial<EventEmitter> | null)?.emit !== 'function') {
    throw invalidArgType('target', 'a server', target)
  }
  const { keepAlive, keepAliveInitialDelay, noDelay, ...where } = options
  const { allowHalfOpen } = target as Attachable
  const server = new Server({ keepAlive, keepAliveInitialDelay, noDelay, allowHalfOpen })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return new Attached(target, server)
}
