import type { Connection } from './connection.ts'
import { closedError, failure, isNodepollError } from './errors.ts'
import type { Builder } from './internal/builder.ts'
import { ACKNOWLEDGE_BYTES, REFERENCE_BYTES_MIN, WRITE_LIMIT_FACTOR } from './internal/limits.ts'
import { now } from './internal/patience.ts'
import { mayBeUnawaited } from './internal/unawaited.ts'
import { WritingEnd } from './internal/writing-end.ts'
import { COMMAND_ACKNOWLEDGE } from './native/record.ts'

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
  /** What was written and not flushed, if anything. */
  #builder: Builder | undefined
  #flushed = 0

  /** @internal */
  constructor(connection: Connection) {
    super()
    this.#connection = connection
  }

  /** Flushed bytes that the kernel has not taken, as far as the driver has told. */
  get pendingLength(): number {
    return this.#flushed - this.#connection.bytesWritten
  }

  override get mallocLength(): number {
    return this.#builder?.length ?? 0
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
    this._checkLimit()
    const builder = this.#builder
    if (builder !== undefined) {
      this.#flushed += builder.length
      for (let segment = builder.finish(); segment !== undefined; segment = segment.next) {
        connection._send(segment)
      }
      this._giveBack(builder)
    }
    const pending = this.pendingLength
    if (pending >= ACKNOWLEDGE_BYTES) this._acknowledge()
    return pending <= connection._handlers.writeBufferMax
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
   * Waits until the kernel has taken all bytes that were flushed before the call.
   *
   * Rejects with the reason if the connection ends first, and with `ERR_NODEPOLL_WRITE_TIMEOUT`
   * after the write timeout or deadline: the bytes stay queued in order, and can be waited for
   * again.
   */
  drained(): Promise<void> {
    const draining: Promise<void> = this._drained(() => draining)
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
      const shared = this.#connection._input?._openChain?.shareView(bytes)
      if (shared !== undefined) {
        builder.addShared(shared)
        return this
      }
    }
    return super.writeBinary(bytes)
  }

  /** Gives back what was written and never flushed. @internal */
  _drop(): void {
    if (this.#builder === undefined) return
    this.#builder.clear()
    this._giveBack(this.#builder)
  }

  /** @internal */
  _writing(): Builder {
    this.#connection._checkWritable()
    return (this.#builder ??= this.#connection._dispatcher.memory.builders.take())
  }

  private _giveBack(builder: Builder): void {
    this.#builder = undefined
    this.#connection._dispatcher.memory.builders.give(builder)
  }

  private async _drained(draining: () => Promise<void>): Promise<void> {
    const connection = this.#connection
    const target = this.#flushed
    const since = now()
    let isLate = false
    while (connection.bytesWritten < target && !connection._hasEnded && !isLate) {
      this._acknowledge()
      isLate = await connection._waits.drain(since)
    }
    if (connection.bytesWritten >= target) return
    const error = isLate ? writeTimeout() : (connection._reason?.error ?? closedError())
    mayBeUnawaited(draining)
    throw error
  }

  private _checkLimit(): void {
    const pending = this.pendingLength
    const limit = this.#connection._handlers.writeBufferMax * WRITE_LIMIT_FACTOR
    if (pending > 0 && pending + this.mallocLength > limit) {
      throw failure('ERR_NODEPOLL_WRITE_LIMIT', `more than ${limit} bytes would be pending`)
    }
    if (!this.#connection._takesOutput) {
      throw failure('ERR_NODEPOLL_WRITE_LIMIT', 'too many flushes wait for the I/O thread')
    }
  }

  private _acknowledge(): void {
    const { _extras: extras } = this.#connection
    // The driver tells of its progress until it has come so far.
    if (this.#connection.bytesWritten < extras.acknowledged) return
    extras.acknowledged = this.#flushed
    this.#connection._command(COMMAND_ACKNOWLEDGE)
  }
}

function writeTimeout(): Error {
  return failure('ERR_NODEPOLL_WRITE_TIMEOUT', 'the peer has not taken the output in time')
}
