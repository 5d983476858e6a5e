import type { Connection } from './connection.ts'
import { failure, isNodepollError } from './errors.ts'
import { lengthOf } from './internal/search.ts'
import { mayBeUnawaited } from './internal/unawaited.ts'
import { checkCount, checkDelimiter, checkEncoding } from './internal/validate.ts'
import { WaitingNumberReads } from './internal/waiting-number-reads.ts'
import { readTimeout, type Take, waitToRead } from './internal/waiting-read.ts'
import type { LinkBuffer } from './link-buffer.ts'

const takeNothing: Take<void> = () => {}
const takeNext: Take<Buffer> = (input, n) => input.next(n)
const takePeek: Take<Buffer> = (input, n, offset) => input.peek(n, offset)
const takeSkip: Take<void> = (input, n) => input.skip(n)
const takeString: Take<string> = (input, n, _, encoding) => input.readString(n, encoding)
const takeBinary: Take<Buffer> = (input, n) => input.readBinary(n)
const takeSlice: Take<LinkBuffer> = (input, n) => input.slice(n)

/**
 * The waiting reader of a connection: the calls of {@link LinkBuffer}, each returning a promise
 * that settles once enough has arrived.
 *
 * - Enough already there: settles at once, whatever became of the peer.
 * - The end comes first: rejects with `ERR_NODEPOLL_EOF` (the peer ended the connection),
 *   `ERR_NODEPOLL_CONNECTION_CLOSED` (we did) or the error of the operating system; unread bytes
 *   stay in `connection.input`.
 * - More than 64 MiB read and unreleased: rejects with `ERR_NODEPOLL_UNRELEASED`.
 * - More bytes than `readBufferMax` may be waited for, up to a quarter of `memoryMax` (and 256
 *   MiB); what is received for such a read lies in one piece. A read of more rejects at once with
 *   `ERR_NODEPOLL_READ_LIMIT`.
 * - One waiting read at a time: a second one rejects with `ERR_NODEPOLL_CONCURRENT_READ`.
 *
 * Views belong to `connection.input` and are valid until its next release.
 *
 * @example
 * ```ts
 * import { dial } from 'nodepoll'
 *
 * async function ask(port: number, question: string): Promise<string> {
 *   const connection = await dial({ host: '127.0.0.1', port })
 *   connection.write(question)
 *   const size = (await connection.reader.next(4)).readUInt32BE()
 *   const answer = await connection.reader.readString(size)
 *   connection.reader.release()
 *   await connection.close()
 *   return answer
 * }
 * ```
 */
export class Reader extends WaitingNumberReads {
  readonly #connection: Connection

  /** @internal */
  constructor(connection: Connection) {
    super()
    this.#connection = connection
  }

  /** Bytes that can be read without waiting. */
  get length(): number {
    return this.#connection.input.length
  }

  /**
   * Waits for `n` bytes, consumes them and resolves with a view of them, valid until the next
   * release.
   */
  next(n: number): Promise<Buffer> {
    return this._read(n, takeNext)
  }

  /**
   * Waits for `n` bytes beyond `offset` and resolves with a view of them, valid until the next
   * release. Consumes nothing.
   */
  peek(n: number, offset = 0): Promise<Buffer> {
    return this._read(n, takePeek, offset)
  }

  /** Waits for `n` bytes and consumes them. */
  skip(n: number): Promise<void> {
    return this._read(n, takeSkip)
  }

  /** Waits for `n` bytes, not characters, consumes them and resolves with a string. */
  readString(n: number, encoding: BufferEncoding = 'utf8'): Promise<string> {
    return this._read(n, takeString, 0, encoding)
  }

  /** Waits for `n` bytes, consumes them and resolves with a copy that stays valid for ever. */
  readBinary(n: number): Promise<Buffer> {
    return this._read(n, takeBinary)
  }

  /** Waits for `n` bytes, consumes them and resolves with them as {@link LinkBuffer.slice} does. */
  slice(n: number): Promise<LinkBuffer> {
    return this._read(n, takeSlice)
  }

  /**
   * Waits for `delimiter`, consumes all bytes up to its end and resolves with a view of them, valid
   * until the next release. If the end of the connection comes first, what has arrived stays
   * readable in `connection.input`. There is no limit to what may come before the delimiter but
   * that of all reads: to lines of strangers give one with {@link delimited}.
   *
   * @param delimiter One byte as a number, or at least one byte.
   */
  until(delimiter: number | Uint8Array): Promise<Buffer> {
    const reading: Promise<Buffer> = this.#readUntil(delimiter, () => reading)
    return reading
  }

  /**
   * Waits until `n` bytes can be read from `connection.input` without waiting. Consumes nothing and
   * makes no view: the quick way to read a message of many parts.
   */
  wait(n: number): Promise<void> {
    return this._read(n, takeNothing)
  }

  /**
   * Gives fully read nodes back: {@link LinkBuffer.release} of the connection's input. Views made
   * before become invalid. Outside of `onRequest` nobody else does it.
   */
  release(): void {
    this.#connection.input.release()
  }

  /** @internal */
  _read<T>(n: number, take: Take<T>, offset = 0, encoding: BufferEncoding = 'utf8'): Promise<T> {
    const begun = this.#begin(n, take, offset, encoding)
    if (begun !== undefined) return begun
    const reading: Promise<T> = this.#fail(n, take, offset, encoding, () => reading)
    return reading
  }

  /**
   * Views of what arrives, chunk by chunk, until the peer's FIN. Each is released when the next one
   * is asked for. Any other end is thrown.
   */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    const { input } = this.#connection
    for (;;) {
      try {
        if (input.length === 0) await this.wait(1)
      } catch (error) {
        if (isNodepollError(error, 'ERR_NODEPOLL_EOF')) return
        throw error
      }
      const { value: chunk } = input.chunks().next()
      try {
        yield input.next((chunk as Buffer).length)
      } finally {
        input.release()
      }
    }
  }

  /** Takes what is there, or waits for it. `undefined` if that fails, which has changed nothing. */
  #begin<T>(
    n: number,
    take: Take<T>,
    offset: number,
    encoding: BufferEncoding,
  ): Promise<T> | undefined {
    const { input, _isReading: isReading, _receives: receives } = this.#connection
    const areCounts = Number.isInteger(n) && Number.isInteger(offset) && n >= 0 && offset >= 0
    const isKnown = encoding === 'utf8' || Buffer.isEncoding(encoding)
    if (!areCounts || !isKnown || isReading) return undefined
    try {
      input._checkReleased()
      if (n + offset <= input.length) return Promise.resolve(take(input, n, offset, encoding))
      if (!receives) return undefined
      return waitToRead(this.#connection, take, n, offset, encoding)
    } catch {
      // It fails again where the stack of the error leads to the caller.
      return undefined
    }
  }

  // Errors are made in here, so that their stack leads to the caller.
  async #fail<T>(
    n: number,
    take: Take<T>,
    offset: number,
    encoding: BufferEncoding,
    reading: () => Promise<T>,
  ): Promise<T> {
    try {
      checkCount(n)
      checkCount(offset, 'offset')
      checkEncoding(encoding)
      const { input, _intake: intake, _isReading: isReading } = this.#connection
      if (isReading) throw concurrentRead()
      input._checkReleased()
      if (input.length < n + offset) {
        if (this.#connection._receives) intake.want(n + offset)
        throw this.#connection._endError()
      }
      return take(input, n, offset, encoding)
    } catch (error) {
      mayBeUnawaited(reading)
      throw error
    }
  }

  async #readUntil(
    delimiter: number | Uint8Array,
    reading: () => Promise<Buffer>,
  ): Promise<Buffer> {
    const { input, _waits: waits } = this.#connection
    let isWaiting = false
    try {
      const wanted = checkDelimiter(delimiter)
      const length = lengthOf(wanted)
      if (waits.isReading) throw concurrentRead()
      input._checkReleased()
      let searched = 0
      for (;;) {
        // What was searched before may hold the beginning of the delimiter.
        const index = input.indexOf(wanted, Math.max(0, searched - length + 1))
        if (index >= 0) return input.next(index + length)
        if (!this.#connection._receives) throw this.#connection._endError()
        searched = input.length
        if (!isWaiting) waits.begin()
        isWaiting = true
        this.#connection._intake.want(searched + 1)
        if (await waits.input(searched + 1)) throw readTimeout()
      }
    } catch (error) {
      mayBeUnawaited(reading)
      throw error
    } finally {
      if (isWaiting) waits.end()
    }
  }
}

function concurrentRead(): Error {
  return failure('ERR_NODEPOLL_CONCURRENT_READ', 'another read of this connection is waiting')
}
