import type { Connection } from '../connection.ts'
import { failure } from '../errors.ts'
import type { LinkBuffer } from '../link-buffer.ts'
import { mayBeUnawaited } from './unawaited.ts'

/** What a read takes of the input once enough is there. */
export type Take<T> = (input: LinkBuffer, n: number, offset: number, encoding: BufferEncoding) => T

/**
 * Waits until enough has arrived to be taken.
 *
 * @throws `ERR_NODEPOLL_READ_LIMIT` if there will never be room for so much.
 */
export function waitToRead<T>(
  connection: Connection,
  take: Take<T>,
  n: number,
  offset: number,
  encoding: BufferEncoding,
): Promise<T> {
  const { _waits: waits } = connection
  waits.begin()
  try {
    connection._intake.want(n + offset)
  } catch (error) {
    waits.end()
    throw error
  }
  const read = new WaitingRead(connection, take, n, offset, encoding)
  waits.whenInput(n + offset, read)
  return read.promise
}

/** A read that waits for input: its promise is resolved as the bytes arrive, with what it takes. */
class WaitingRead<T> {
  readonly promise: Promise<T>
  readonly #connection: Connection
  readonly #take: Take<T>
  readonly #n: number
  readonly #offset: number
  readonly #encoding: BufferEncoding
  #resolve!: (value: T | PromiseLike<T>) => void
  #reject!: (error: unknown) => void

  constructor(
    connection: Connection,
    take: Take<T>,
    n: number,
    offset: number,
    encoding: BufferEncoding,
  ) {
    this.#connection = connection
    this.#take = take
    this.#n = n
    this.#offset = offset
    this.#encoding = encoding
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Enough has come, or no more will; or it `isLate`. Called within the event that says so. */
  goOn(isLate: boolean): void {
    const connection = this.#connection
    if (isLate || !this.isMet || !connection._isForReads) {
      this.#resolve(this.waitOn(isLate))
      return
    }
    connection._waits.end()
    try {
      this.#resolve(this.taken())
    } catch (error) {
      this.#reject(error)
    }
  }

  /** Waits for longer, or fails. */
  private async waitOn(wasLate: boolean): Promise<T> {
    const connection = this.#connection
    const { _waits: waits } = connection
    // After two of them the caller's promise follows this one, so that errors find their way back.
    await undefined
    await undefined
    try {
      let isLate = wasLate
      try {
        while (!isLate && !this.isMet && connection._receives) {
          isLate = await waits.input(this.#n + this.#offset)
        }
      } finally {
        waits.end()
      }
      if (isLate) throw readTimeout()
      if (!this.isMet) throw connection._endError()
      return this.taken()
    } catch (error) {
      mayBeUnawaited(() => this.promise)
      throw error
    }
  }

  private get isMet(): boolean {
    return this.#connection.input.length >= this.#n + this.#offset
  }

  private taken(): T {
    return this.#take(this.#connection.input, this.#n, this.#offset, this.#encoding)
  }
}

export function readTimeout(): Error {
  return failure('ERR_NODEPOLL_READ_TIMEOUT', 'what is to be read has not come in time')
}
