import type { Connection } from './connection.ts'
import { failure } from './errors.ts'
import { checkCount } from './internal/validate.ts'
import type { LinkBuffer } from './link-buffer.ts'

const noop = (): void => {}

/**
 * The waiting reader of a connection: the calls of {@link LinkBuffer}, each returning a promise
 * that settles once enough has arrived.
 *
 * - Enough already there: settles at once, whatever became of the peer.
 * - The end comes first: rejects with `ERR_NODEPOLL_EOF` (the peer ended the connection),
 *   `ERR_NODEPOLL_CONNECTION_CLOSED` (we did) or the error of the operating system; unread bytes
 *   stay in `connection.input`.
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
export class Reader {
  readonly #connection: Connection

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Bytes that can be read without waiting. */
  get length(): number {
    return this.#connection.input.length
  }

  /** Waits for `n` bytes, consumes them and resolves with a view of them. */
  next(n: number): Promise<Buffer> {
    return this.#read(n, (input) => input.next(n))
  }

  /** Waits for `n` bytes and consumes them. */
  skip(n: number): Promise<void> {
    return this.#read(n, (input) => input.skip(n))
  }

  /** Waits for `n` bytes, consumes them and resolves with a string. */
  readString(n: number, encoding: BufferEncoding = 'utf8'): Promise<string> {
    return this.#read(n, (input) => input.readString(n, encoding))
  }

  /** Waits for `n` bytes, consumes them and resolves with a copy. */
  readBinary(n: number): Promise<Buffer> {
    return this.#read(n, (input) => input.readBinary(n))
  }

  /** Waits until `n` bytes can be read from `connection.input` without waiting. */
  wait(n: number): Promise<void> {
    return this.#read(n, noop)
  }

  /** Gives fully read nodes back. Views made before become invalid. */
  release(): void {
    this.#connection.input.release()
  }

  #read<T>(n: number, take: (input: LinkBuffer) => T): Promise<T> {
    const reading: Promise<T> = this.#readWhenThere(n, take, () => reading.catch(noop))
    return reading
  }

  // Errors are made in here, so that their stack leads to the caller.
  async #readWhenThere<T>(
    n: number,
    take: (input: LinkBuffer) => T,
    ignore: () => void,
  ): Promise<T> {
    try {
      checkCount(n)
      const connection = this.#connection
      const { input, _waits: waits } = connection
      if (waits.isReading) {
        throw failure('ERR_NODEPOLL_CONCURRENT_READ', 'another read of this connection is waiting')
      }
      if (input.length < n) {
        waits.isReading = true
        while (input.length < n && connection.isActive) await waits.input(n)
        waits.isReading = false
        if (input.length < n) throw connection._endError()
      }
      return take(input)
    } catch (error) {
      // A read that nobody awaits must not end the process when its connection does. Not sooner:
      // the stack of the error leads to the caller only while the caller alone waits.
      queueMicrotask(ignore)
      throw error
    }
  }
}
