import { type NodepollError, systemError } from '../errors.ts'
import { REASON_ERROR, REASON_PEER, REASON_TIMEOUT, SYSCALL_WRITE } from '../native/record.ts'

/**
 * Why a connection ended. The first reason stays.
 *
 * - `local`: we called `close()`, `destroy()` or `reset()`.
 * - `peer`: FIN from the peer.
 * - `error`: a reset, an error of the operating system, what a handler threw, or what `destroy()`
 *   was given.
 * - `timeout`: no byte came or went for as long as the idle timeout says.
 * - `shutdown`: the loop was shut down.
 */
export interface CloseReason {
  /** Who or what ended the connection. */
  readonly by: 'local' | 'peer' | 'error' | 'timeout' | 'shutdown'
  /** With `error`: what it was. */
  readonly error?: unknown
}

/**
 * An error of the operating system as a reason. The error is made when somebody asks for it: many a
 * peer resets its connection, nobody asks, and an error with its stack is dear.
 */
export class SystemReason {
  readonly #errno: number
  readonly #syscall: number

  constructor(errno: number, syscall: number) {
    this.#errno = errno
    this.#syscall = syscall
  }

  /** The reason as its user sees it. */
  told(): CloseReason {
    const syscall = this.#syscall === SYSCALL_WRITE ? 'write' : 'read'
    return { by: 'error', error: systemError(this.#errno, syscall) }
  }
}

/** The reason that a driver gives in its last event of a connection. */
export function reasonOf(kind: number, errno: number, syscall: number): CloseReason | SystemReason {
  switch (kind) {
    case REASON_PEER:
      return { by: 'peer' }
    case REASON_ERROR:
      return new SystemReason(errno, syscall)
    case REASON_TIMEOUT:
      return { by: 'timeout' }
    default:
      return { by: 'local' }
  }
}

/** Whether an error says no more than that its connection has ended. */
export function isEndError(error: unknown): boolean {
  const { code, syscall } = (error ?? {}) as Partial<NodepollError>
  return (
    code === 'ERR_NODEPOLL_EOF' ||
    code === 'ERR_NODEPOLL_CONNECTION_CLOSED' ||
    syscall === 'read' ||
    syscall === 'write'
  )
}
