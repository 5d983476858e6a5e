import { invalidArgType, invalidArgValue } from '../errors.ts'
import type { LinkBuffer } from '../link-buffer.ts'
import type { Builder } from './builder.ts'
import { Chain } from './chain.ts'
import { NODE_BYTES_MAX, PIECE_BYTES_MAX } from './limits.ts'
import { NumberWrites, roomIn } from './number-writes.ts'
import { checkEncoding, checkInteger } from './validate.ts'

/** A character of a JavaScript string takes at most so many bytes in UTF-8. */
const UTF8_BYTES_MAX = 3

/**
 * The writing calls of `Writer` and `LinkBuffer`. What is written is kept until it is flushed.
 *
 * A call that cannot be met throws and changes nothing: `ERR_NODEPOLL_WRITE_LIMIT` when `memoryMax`
 * leaves no room, and what the class itself throws where nothing can be written.
 */
export abstract class WritingEnd extends NumberWrites {
  /** What is written into. Throws if nothing can be written now. @internal */
  abstract _writing(): Builder

  /** Bytes written since the last flush, whatever wrote them. */
  abstract get mallocLength(): number

  /**
   * Reserves `n` bytes and returns a view of them, to be filled before the flush. Their content is
   * undefined until then; the view is the caller's until the flush, and not after it.
   *
   * @throws `ERR_OUT_OF_RANGE` if `n` is not an integer from 0 to 256 MiB.
   *
   * @example
   * ```ts
   * import { LinkBuffer } from 'nodepoll'
   *
   * const buffer = new LinkBuffer()
   * const length = buffer.malloc(100).write('less than that')
   * buffer.mallocAck(length).flush()
   * buffer.readString(buffer.length) // 'less than that'
   * buffer.close()
   * ```
   */
  malloc(n: number): Buffer {
    checkInteger(n, 'n', 0, PIECE_BYTES_MAX)
    const builder = this._writing()
    return n === 0 ? Buffer.alloc(0) : builder.view(n)
  }

  /**
   * Keeps the first `n` of the bytes written since the last flush, whatever wrote them, and drops
   * the rest.
   *
   * @throws `ERR_OUT_OF_RANGE` if there are fewer.
   */
  mallocAck(n: number): this {
    checkInteger(n, 'n', 0, this.mallocLength)
    this._writing().keep(n)
    return this
  }

  /**
   * Splices a copy of `bytes` in front of the last `remain` bytes written since the last flush,
   * without moving those: for a header whose content follows from what comes after it.
   *
   * @throws `ERR_OUT_OF_RANGE` if fewer than `remain` have been written.
   *
   * @example
   * ```ts
   * import { LinkBuffer } from 'nodepoll'
   *
   * const buffer = new LinkBuffer()
   * buffer.writeString('body')
   * buffer.writeDirect(Buffer.from([buffer.mallocLength]), buffer.mallocLength).flush()
   * buffer.readString(buffer.readByte()) // 'body'
   * buffer.close()
   * ```
   */
  writeDirect(bytes: Uint8Array, remain: number): this {
    checkBytes(bytes)
    checkInteger(remain, 'remain', 0, this.mallocLength)
    const builder = this._writing()
    if (bytes.length === 0) return this
    if (remain === 0) builder.write(bytes)
    else builder.splice(bytes, remain)
    return this
  }

  /**
   * Writes a string.
   *
   * @throws `ERR_INVALID_ARG_TYPE` if it is none, `ERR_UNKNOWN_ENCODING` for an unknown encoding.
   */
  writeString(text: string, encoding: BufferEncoding = 'utf8'): this {
    if (typeof text !== 'string') throw invalidArgType('text', 'of type string', text)
    checkEncoding(encoding)
    const builder = this._writing()
    if (text.length === 0) return this
    const guess = text.length * UTF8_BYTES_MAX
    // Short strings are encoded into the room that is there, without being measured first.
    const bytes = guess <= builder.memory.room ? guess : Buffer.byteLength(text, encoding)
    if (bytes > NODE_BYTES_MAX) {
      builder.write(Buffer.from(text, encoding))
      return this
    }
    const segment = builder.reserve(bytes)
    const written = segment.chunk.write(text, segment.end - bytes, bytes, encoding)
    if (written < bytes) builder.unreserve(segment, bytes - written)
    return this
  }

  /**
   * Writes a copy of `bytes`, which stay the caller's.
   *
   * @throws `ERR_INVALID_ARG_TYPE` if it is no `Uint8Array`.
   */
  writeBinary(bytes: Uint8Array): this {
    checkBytes(bytes)
    const builder = this._writing()
    if (bytes.length > 0) builder.write(bytes)
    return this
  }

  /**
   * Moves all readable bytes of `other` behind what was written, by handing over their nodes.
   * Nothing is copied, unless `other` is the input of a connection that has ended; `other` is left
   * empty and usable, and keeps what is written to it and not flushed. From `connection.input` it
   * counts as consumption.
   *
   * @throws `ERR_INVALID_ARG_VALUE` if `other` is this buffer itself.
   */
  append(other: LinkBuffer): this {
    const chain = chainOf(other)
    if (chain === undefined) throw invalidArgType('other', 'a LinkBuffer', other)
    const builder = this._writing()
    if ((other as unknown) === this) {
      throw invalidArgValue('other', other, 'must not be the buffer that is written to')
    }
    builder.takeFrom(chain)
    return this
  }

  /** @internal */
  _reserve(bytes: number): number {
    const { chunk, end } = this._writing().reserve(bytes)
    return roomIn(chunk, end - bytes)
  }
}

/** The class itself is not known here: it is made from this one. */
function chainOf(value: LinkBuffer | null | undefined): Chain | undefined {
  const chain: unknown = value?._chain
  return chain instanceof Chain ? chain : undefined
}

function checkBytes(bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array)) {
    throw invalidArgType('bytes', 'an instance of Buffer or Uint8Array', bytes)
  }
}
