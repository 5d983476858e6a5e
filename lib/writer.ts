import type { Connection } from './connection.ts'
import { closedError, failure, invalidArgType, unknownEncoding } from './errors.ts'
import {
  ACKNOWLEDGE_BYTES,
  NODE_BYTES_MAX,
  PIECE_BYTES_MAX,
  WRITE_BUFFER_MAX,
} from './internal/limits.ts'
import type { Memory } from './internal/memory.ts'
import { NumberWrites } from './internal/number-writes.ts'
import { NO_NODE, Segment } from './internal/segment.ts'
import { checkInteger } from './internal/validate.ts'
import { LinkBuffer } from './link-buffer.ts'
import { COMMAND_ACKNOWLEDGE } from './native/record.ts'

const noop = (): void => {}

/** A character of a JavaScript string takes at most so many bytes in UTF-8. */
const UTF8_BYTES_MAX = 3

/**
 * The writing end of a connection: builds output and hands it over in batches.
 *
 * What is written is kept until {@link Writer.flush}; what is flushed leaves in order, and all that
 * is flushed in one turn of the JavaScript loop leaves together.
 *
 * Every writing call throws `ERR_NODEPOLL_CONNECTION_CLOSED` once the connection is closed, and
 * `ERR_NODEPOLL_WRITE_LIMIT` when `memoryMax` leaves no room.
 *
 * Follows the `Writer` of CloudWeGo's netpoll.
 *
 * @example
 * ```ts
 * import { dial } from 'nodepoll'
 *
 * async function send(port: number, body: Uint8Array): Promise<void> {
 *   const connection = await dial({ host: '127.0.0.1', port })
 *   const { writer } = connection
 *   writer.malloc(4).writeUInt32BE(body.length)
 *   writer.writeBinary(body)
 *   if (!writer.flush()) await writer.drained()
 *   await connection.close()
 * }
 * ```
 */
export class Writer extends NumberWrites {
  readonly #connection: Connection
  readonly #memory: Memory
  #head: Segment | undefined
  #tail: Segment | undefined
  #unflushed = 0
  #flushed = 0
  /** Up to where the driver has been asked to tell of its progress. */
  #acknowledged = 0

  /** @internal */
  constructor(connection: Connection, memory: Memory) {
    super()
    this.#connection = connection
    this.#memory = memory
  }

  /** Flushed bytes that the kernel has not taken, as far as the driver has told. */
  get pendingLength(): number {
    return this.#flushed - this.#connection.bytesWritten
  }

  /**
   * Reserves `n` bytes and returns a view of them, to be filled before {@link Writer.flush}. Their
   * content is undefined until then.
   *
   * @throws `ERR_OUT_OF_RANGE` if `n` is not an integer from 0 to 256 MiB.
   */
  malloc(n: number): Buffer {
    checkInteger(n, 'n', 0, PIECE_BYTES_MAX)
    this.#connection._checkWritable()
    if (n === 0) return Buffer.alloc(0)
    const { chunk, end } = this.#reserve(n)
    return Buffer.from(chunk.buffer as ArrayBuffer, chunk.byteOffset + end - n, n)
  }

  /** Bytes written since the last flush. */
  get mallocLength(): number {
    return this.#unflushed
  }

  /**
   * Keeps the first `n` of the bytes written since the last flush, whatever wrote them, and drops
   * the rest.
   *
   * @throws `ERR_OUT_OF_RANGE` if there are fewer.
   */
  mallocAck(n: number): this {
    checkInteger(n, 'n', 0, this.#unflushed)
    this.#connection._checkWritable()
    const { before, rest } = this.#find(n)
    const next = before === undefined ? this.#head : before.next
    if (next !== undefined && rest > 0) {
      this.#cutAfter(next, next.next)
      this.#memory.unreserve(next, next.end - next.at - rest)
    } else {
      this.#cutAfter(before, next)
    }
    this.#unflushed = n
    return this
  }

  /**
   * Splices a copy of `bytes` in front of the last `remain` bytes written since the last flush,
   * without moving those.
   *
   * @throws `ERR_OUT_OF_RANGE` if fewer than `remain` have been written.
   */
  writeDirect(bytes: Uint8Array, remain: number): this {
    checkBytes(bytes)
    checkInteger(remain, 'remain', 0, this.#unflushed)
    this.#connection._checkWritable()
    if (remain === 0) return this.writeBinary(bytes)
    if (bytes.length === 0) return this
    const pieces = this.#copyPieces(bytes)
    const { before, rest } = this.#find(this.#unflushed - remain)
    let left = before
    if (rest > 0) {
      left = (before === undefined ? this.#head : before.next) as Segment
      this.#splitAt(left, left.at + rest)
    }
    for (const piece of pieces) {
      piece.next = left === undefined ? this.#head : left.next
      if (left === undefined) this.#head = piece
      else left.next = piece
      left = piece
    }
    this.#unflushed += bytes.length
    return this
  }

  /** Writes a string. */
  writeString(text: string, encoding: BufferEncoding = 'utf8'): this {
    if (typeof text !== 'string') throw invalidArgType('text', 'of type string', text)
    if (!Buffer.isEncoding(encoding)) throw unknownEncoding(encoding)
    this.#connection._checkWritable()
    if (text.length === 0) return this
    const guess = text.length * UTF8_BYTES_MAX
    // Short strings are encoded into the room that is there, without being measured first.
    const bytes = guess <= this.#memory.room ? guess : Buffer.byteLength(text, encoding)
    if (bytes > NODE_BYTES_MAX) return this.#writePieces(Buffer.from(text, encoding))
    const segment = this.#reserve(bytes)
    const written = segment.chunk.write(text, segment.end - bytes, bytes, encoding)
    if (written < bytes) this.#unreserve(segment, bytes - written)
    return this
  }

  /** Writes a copy of `bytes`, which stay the caller's. */
  writeBinary(bytes: Uint8Array): this {
    checkBytes(bytes)
    this.#connection._checkWritable()
    if (bytes.length === 0) return this
    if (bytes.length > NODE_BYTES_MAX) return this.#writePieces(bytes)
    const segment = this.#reserve(bytes.length)
    segment.chunk.set(bytes, segment.end - bytes.length)
    return this
  }

  /**
   * Moves all readable bytes of `other` to the end of the output by handing over their nodes.
   * Nothing is copied; `other` is left empty and usable. From `connection.input` it counts as
   * consumption.
   */
  append(other: LinkBuffer): this {
    if (!(other instanceof LinkBuffer)) throw invalidArgType('other', 'a LinkBuffer', other)
    this.#connection._checkWritable()
    this.#unflushed += other.length
    let segment = other._chain.takeUnread()
    while (segment !== undefined) {
      const { next } = segment
      segment.next = undefined
      if (segment.node === NO_NODE) {
        this.#unflushed -= segment.end - segment.at
        this.writeBinary(segment.chunk.subarray(segment.at, segment.end))
      } else {
        this.#link(segment)
      }
      segment = next
    }
    return this
  }

  /**
   * Hands everything written to the loop, in order, without waiting. `false` means that more than
   * 1 MiB is pending: wait for {@link Writer.drained} before writing on.
   */
  flush(): boolean {
    const connection = this.#connection
    connection._checkWritable()
    if (!connection._channel.takesOutput) {
      throw failure('ERR_NODEPOLL_WRITE_LIMIT', 'too many flushes wait for the I/O thread')
    }
    let segment = this.#head
    if (segment !== undefined) {
      this.#head = undefined
      this.#tail = undefined
      this.#flushed += this.#unflushed
      this.#unflushed = 0
      for (; segment !== undefined; segment = segment.next) {
        connection._channel.send(segment)
      }
    }
    const pending = this.pendingLength
    if (pending >= ACKNOWLEDGE_BYTES) this.#acknowledge()
    return pending <= WRITE_BUFFER_MAX
  }

  /**
   * Waits until the kernel has taken all flushed bytes.
   *
   * Rejects with the reason if the connection ends first.
   */
  drained(): Promise<void> {
    const draining: Promise<void> = this.#drained(() => draining.catch(noop))
    return draining
  }

  /** Gives back what was written and never flushed. @internal */
  _drop(): void {
    this.#cutAfter(undefined, this.#head)
    this.#unflushed = 0
  }

  /** @internal */
  _reserve(bytes: number): number {
    this.#connection._checkWritable()
    const { chunk, end } = this.#reserve(bytes)
    this._target = chunk
    return end - bytes
  }

  async #drained(ignore: () => void): Promise<void> {
    const connection = this.#connection
    const target = this.#flushed
    while (connection.bytesWritten < target && !connection._hasEnded) {
      this.#acknowledge()
      await connection._waits.drain()
    }
    if (connection.bytesWritten >= target) return
    const error = connection._reason?.error ?? closedError()
    // One that nobody awaits any more must not end the process when its connection does. After the
    // error is made: its stack leads to the caller only while the caller alone waits.
    queueMicrotask(ignore)
    throw error
  }

  #acknowledge(): void {
    // The driver tells of its progress until it has come so far.
    if (this.#connection.bytesWritten < this.#acknowledged) return
    this.#acknowledged = this.#flushed
    this.#connection._channel.command(COMMAND_ACKNOWLEDGE)
  }

  #reserve(bytes: number): Segment {
    const tail = this.#tail
    const segment = this.#memory.reserve(bytes, tail)
    this.#unflushed += bytes
    if (segment !== tail) this.#link(segment)
    return segment
  }

  #unreserve(segment: Segment, bytes: number): void {
    this.#memory.unreserve(segment, bytes)
    this.#unflushed -= bytes
  }

  /** Copies more than a node holds: all of it, or nothing if there is no room. */
  #writePieces(bytes: Uint8Array): this {
    for (const piece of this.#copyPieces(bytes)) this.#link(piece)
    this.#unflushed += bytes.length
    return this
  }

  /** Copies bytes into segments that are not linked yet, node by node. */
  #copyPieces(bytes: Uint8Array): Segment[] {
    const pieces: Segment[] = []
    try {
      for (let at = 0; at < bytes.length; at += NODE_BYTES_MAX) {
        const length = Math.min(NODE_BYTES_MAX, bytes.length - at)
        const piece = this.#memory.reserve(length, undefined)
        piece.chunk.set(bytes.subarray(at, at + length), piece.start)
        pieces.push(piece)
      }
    } catch (error) {
      for (const { node } of pieces) this.#memory.release(node)
      throw error
    }
    return pieces
  }

  /** The last segment that ends at or before a position, and how far the next one reaches to it. */
  #find(position: number): { before: Segment | undefined; rest: number } {
    let before: Segment | undefined
    let rest = position
    for (let segment = this.#head; segment !== undefined; segment = segment.next) {
      const length = segment.end - segment.at
      if (rest < length) break
      rest -= length
      before = segment
    }
    return { before, rest }
  }

  /** Makes two segments of one; the second gets a lease of its own. */
  #splitAt(segment: Segment, at: number): void {
    this.#memory.retain(segment.node)
    const right = new Segment(segment.node, segment.chunk, at, segment.end)
    right.next = segment.next
    segment.end = at
    segment.next = right
    if (this.#tail === segment) this.#tail = right
  }

  /** Drops all segments from `first` on, which follows `last`. */
  #cutAfter(last: Segment | undefined, first: Segment | undefined): void {
    for (let segment = first; segment !== undefined; segment = segment.next) {
      this.#memory.release(segment.node)
    }
    this.#tail = last
    if (last === undefined) this.#head = undefined
    else last.next = undefined
  }

  #link(segment: Segment): void {
    if (this.#tail === undefined) this.#head = segment
    else this.#tail.next = segment
    this.#tail = segment
  }
}

function checkBytes(bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array)) {
    throw invalidArgType('bytes', 'an instance of Buffer or Uint8Array', bytes)
  }
}
