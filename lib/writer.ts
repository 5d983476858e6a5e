import type { Connection } from './connection.ts'
import { closedError, failure, isNodepollError } from './errors.ts'
import { Builder } from './internal/builder.ts'
import { ACKNOWLEDGE_BYTES, REFERENCE_BYTES_MIN, WRITE_LIMIT_FACTOR } from './internal/limits.ts'
import type { Memory } from './internal/memory.ts'
import { now } from './internal/patience.ts'
import { WritingEnd } from './internal/writing-end.ts'
import { COMMAND_ACKNOWLEDGE } from './native/record.ts'

const noop = (): void => {}

/**
 * The writing end of a connection: builds output and hands it over in batches.
 *
 * What is written is kept until {@link Writer.flush}; what is flushed leaves in order, and all that
 * is flushed in one turn of the JavaScript loop leaves together.
 *
 * Every writing call throws `ERR_NODEPOLL_CONNECTION_CLOSED` once the connection is closed, and
 * `ERR_NODEPOLL_WRITE_LIMIT` when `memoryMax` leaves no room. A peer that does not read makes
 * {@link Writer.flush} say `false` at first, and then throw.
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
export class Writer extends WritingEnd {
  readonly #connection: Connection
  readonly #builder: Builder
  /** Pending bytes at which `flush` says false. */
  readonly #max: number
  #flushed = 0
  /** Up to where the driver has been asked to tell of its progress. */
  #acknowledged = 0

  /** @internal */
  constructor(connection: Connection, memory: Memory) {
    super()
    this.#connection = connection
    this.#builder = new Builder(memory)
    this.#max = connection._handlers.writeBufferMax
  }

  /** Flushed bytes that the kernel has not taken, as far as the driver has told. */
  get pendingLength(): number {
    return this.#flushed - this.#connection.bytesWritten
  }

  override get mallocLength(): number {
    return this.#builder.length
  }

  /**
   * Hands everything written to the loop, in order, without waiting. `false` means that more than
   * `writeBufferMax` is pending: wait for {@link Writer.drained} before writing on.
   *
   * @throws `ERR_NODEPOLL_WRITE_LIMIT` if more than 64 times that would be pending. Nothing is
   *   handed over then: what was written stays, for a later flush. When nothing is pending, one
   *   flush of any size is taken.
   */
  flush(): boolean {
    const connection = this.#connection
    connection._checkWritable()
    this.#checkLimit()
    this.#flushed += this.#builder.length
    for (let segment = this.#builder.finish(); segment !== undefined; segment = segment.next) {
      connection._channel.send(segment)
    }
    const pending = this.pendingLength
    if (pending >= ACKNOWLEDGE_BYTES) this.#acknowledge()
    return pending <= this.#max
  }

  /** Writes and flushes, or does neither. @internal */
  _send(data: Uint8Array | string): boolean {
    const before = this.mallocLength
    if (typeof data === 'string') this.writeString(data)
    else this.writeBinary(data)
    try {
      return this.flush()
    } catch (error) {
      if (isNodepollError(error, 'ERR_NODEPOLL_WRITE_LIMIT')) this.mallocAck(before)
      throw error
    }
  }

  /**
   * Waits until the kernel has taken all flushed bytes.
   *
   * Rejects with the reason if the connection ends first, and with `ERR_NODEPOLL_WRITE_TIMEOUT`
   * after the write timeout or deadline: the bytes stay queued in order, and can be waited for
   * again.
   */
  drained(): Promise<void> {
    const draining: Promise<void> = this.#drained(() => draining.catch(noop))
    return draining
  }

  /**
   * Writes bytes. They are copied and stay the caller's, with one exception: a view of 16 KiB or
   * more of this connection's own `input` is sent from where it is, and must not be changed until
   * it is sent ({@link Writer.drained}). It may be released at once.
   */
  override writeBinary(bytes: Uint8Array): this {
    if (bytes instanceof Uint8Array && bytes.length >= REFERENCE_BYTES_MIN) {
      const builder = this._writing()
      const shared = this.#connection._input?._chain.shareView(bytes)
      if (shared !== undefined) {
        builder.addShared(shared)
        return this
      }
    }
    return super.writeBinary(bytes)
  }

  /** Gives back what was written and never flushed. @internal */
  _drop(): void {
    this.#builder.clear()
  }

  /** @internal */
  _writing(): Builder {
    this.#connection._checkWritable()
    return this.#builder
  }

  async #drained(ignore: () => void): Promise<void> {
    const connection = this.#connection
    const target = this.#flushed
    const since = now()
    let isLate = false
    while (connection.bytesWritten < target && !connection._hasEnded && !isLate) {
      this.#acknowledge()
      isLate = await connection._waits.drain(since)
    }
    if (connection.bytesWritten >= target) return
    const error = isLate ? writeTimeout() : (connection._reason?.error ?? closedError())
    // One that nobody awaits any more must not end the process when its connection does. After the
    // error is made: its stack leads to the caller only while the caller alone waits.
    queueMicrotask(ignore)
    throw error
  }

  #checkLimit(): void {
    const pending = this.pendingLength
    const limit = this.#max * WRITE_LIMIT_FACTOR
    if (pending > 0 && pending + this.#builder.length > limit) {
      throw failure('ERR_NODEPOLL_WRITE_LIMIT', `more than ${limit} bytes would be pending`)
    }
    if (!this.#connection._channel.takesOutput) {
      throw failure('ERR_NODEPOLL_WRITE_LIMIT', 'too many flushes wait for the I/O thread')
    }
  }

  #acknowledge(): void {
    // The driver tells of its progress until it has come so far.
    if (this.#connection.bytesWritten < this.#acknowledged) return
    this.#acknowledged = this.#flushed
    this.#connection._channel.command(COMMAND_ACKNOWLEDGE)
  }
}

function writeTimeout(): Error {
  return failure('ERR_NODEPOLL_WRITE_TIMEOUT', 'the peer has not taken the output in time')
}
