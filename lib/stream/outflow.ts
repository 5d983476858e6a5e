import type { Connection } from '../connection.ts'
import { isNodepollError } from '../errors.ts'
import { type Departing, flushSoon, leaveAtExit } from './departure.ts'
import { systemErrorOf } from './errors.ts'
import { PIECE_BYTES_MAX, UNTOLD_BYTES_MAX } from './limits.ts'

/** What `_write` gets: bytes, or text that is encoded where it is sent from. */
export interface Piece {
  readonly chunk: Uint8Array | string
  readonly encoding: BufferEncoding
}

/** Told when a write is done, once. */
export type Done = (error?: Error | null) => void

/**
 * The output of a socket. Writes come one after the other; each is handed over in pieces, as long
 * as nodepoll holds less than `writeBufferMax` of it.
 *
 * A write is done when nodepoll has it, and what nodepoll has leaves even if the socket is
 * destroyed or the process ends: it is to a stream what the send buffer of the kernel is. As the
 * kernel may be full, who has asked to be told waits for it beyond some bytes of which it is not
 * known that it has them.
 */
export class Outflow implements Departing {
  readonly #connection: Connection
  #pieces: readonly Piece[] = []
  /** The piece that comes next, and how much of it is handed over. */
  #index = 0
  #offset = 0
  /** What is under way is so little that it is done at once. */
  #isSmall = false
  #isExact = false
  /** It is about to be flushed. */
  #isDue = false
  /** Writes since input has come, and whether there were several after the input before that. */
  #writes = 0
  #isSeveral = false
  #done: Done | undefined
  #abandoned: Done | undefined

  constructor(connection: Connection) {
    this.#connection = connection
    leaveAtExit(connection._dispatcher)
  }

  /** Sends pieces of so many bytes; with `isExact` somebody wants to be told. */
  send(pieces: readonly Piece[], bytes: number, isExact: boolean, done: Done): void {
    this.#pieces = pieces
    this.#index = 0
    this.#offset = 0
    this.#isSmall = this.#heldBytes + bytes <= UNTOLD_BYTES_MAX
    this.#isExact = isExact
    this.#done = done
    this.#writes++
    this.#goOn()
  }

  /** Input has come: what is written next is an answer to it. */
  inputCame(): void {
    this.#isSeveral = this.#writes > 1
    this.#writes = 0
  }

  /** Bytes of which it is not known that the kernel has taken them. */
  get #heldBytes(): number {
    const { writer } = this.#connection
    return writer.pendingLength + writer.mallocLength
  }

  /** Whether there is output that the kernel has not taken. */
  get isBusy(): boolean {
    const isUnderWay = this.#done !== undefined && this.#index < this.#pieces.length
    return isUnderWay || this.#heldBytes > 0
  }

  flush(): void {
    this.#isDue = false
    const { writer } = this.#connection
    if (writer.mallocLength === 0) return
    try {
      writer.flush()
    } catch (error) {
      // The I/O thread does not keep up. Else the connection has ended, which tells of itself.
      if (isNodepollError(error, 'ERR_NODEPOLL_WRITE_LIMIT')) this.#flushSoon()
    }
  }

  #flushSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    flushSoon(this)
  }

  /** A write that is under way has failed. */
  fail(error: Error): void {
    const done = this.#done
    this.#done = undefined
    done?.(error)
  }

  /** Hands over no more. What is under way is told so by `close`. */
  abandon(): void {
    this.#abandoned = this.#done
    this.#done = undefined
    this.#pieces = []
  }

  /** Settles when all that was handed over has left, or cannot leave. */
  async leave(): Promise<void> {
    this.flush()
    const { writer } = this.#connection
    if (writer.pendingLength > 0) await writer.drained()
  }

  /** Nothing more comes of a write that was under way. */
  close(): void {
    this.#abandoned?.()
    this.#abandoned = undefined
  }

  #goOn(): void {
    if (this.#done === undefined) return
    const { writer } = this.#connection
    try {
      let hasRoom = true
      while (hasRoom && this.#index < this.#pieces.length) {
        this.#put()
        if (writer.mallocLength >= PIECE_BYTES_MAX) hasRoom = writer.flush()
      }
      const isLast = this.#index === this.#pieces.length
      if (isLast && this.#isSmall) {
        // Several answers leave together; a single one is not kept waiting for others.
        if (this.#isSeveral) this.#flushSoon()
        else this.flush()
        this.#finish()
        return
      }
      if (writer.mallocLength > 0) hasRoom = writer.flush()
      if (isLast && hasRoom && !this.#isExact) this.#finish()
      else this.#wait()
    } catch (error) {
      const isFull = isNodepollError(error, 'ERR_NODEPOLL_WRITE_LIMIT') && writer.pendingLength > 0
      if (isFull) this.#wait()
      else this.fail(outputError(error))
    }
  }

  /** Writes one piece, or a part of it. */
  #put(): void {
    const { writer } = this.#connection
    const { chunk, encoding } = this.#pieces[this.#index] as Piece
    if (typeof chunk === 'string') {
      writer.writeString(chunk, encoding)
    } else if (chunk.length - this.#offset > PIECE_BYTES_MAX) {
      writer.writeBinary(chunk.subarray(this.#offset, this.#offset + PIECE_BYTES_MAX))
      this.#offset += PIECE_BYTES_MAX
      return
    } else {
      writer.writeBinary(this.#offset === 0 ? chunk : chunk.subarray(this.#offset))
    }
    this.#index++
    this.#offset = 0
  }

  #wait(): void {
    const isLast = this.#index === this.#pieces.length
    this.#connection.writer.drained().then(
      () => {
        if (isLast) this.#finish()
        else this.#goOn()
      },
      (error: unknown) => this.fail(outputError(error)),
    )
  }

  #finish(): void {
    const done = this.#done
    this.#done = undefined
    done?.()
  }
}

/** Bytes of a piece. */
export function sizeOf({ chunk, encoding }: Piece): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}

/** What has become of output, in the words of node:net. */
export function outputError(error: unknown): Error {
  const isClosed = isNodepollError(error, 'ERR_NODEPOLL_CONNECTION_CLOSED')
  // A reset after FIN is EPIPE, also where the kernel tells of it when it is asked for input.
  if (isClosed || isNodepollError(error, 'EPIPE')) return systemErrorOf('EPIPE', 'write')
  return error instanceof Error ? error : new Error(String(error))
}
