import { failure } from './errors.ts'
import { Builder } from './internal/builder.ts'
import { Chain } from './internal/chain.ts'
import { Guard } from './internal/guard.ts'
import { GATHER_BYTES_MAX, PIECE_BYTES_MAX, UNRELEASED_MAX } from './internal/limits.ts'
import type { Memory } from './internal/memory.ts'
import { NumberReads } from './internal/number-reads.ts'
import { currentRuntime } from './internal/runtime.ts'
import { indexOf, lengthOf } from './internal/search.ts'
import {
  checkCount,
  checkDelimiter,
  checkEncoding,
  checkOptionalInteger,
} from './internal/validate.ts'

const EMPTY = Buffer.alloc(0)

/** Where numbers are put together whose bytes lie in more than one node. */
const scratch = Buffer.alloc(8)

/** Whose bytes these are, which decides what may be done with them. */
type Kind = 'own' | 'input' | 'slice'

/** What buffers that their users make hold, to be given back if they are dropped unclosed. */
const dropped = new FinalizationRegistry<readonly { clear(): void }[]>((held) => {
  for (const part of held) part.clear()
})

/**
 * A chain of nodes with bytes that can be read without waiting: the input of a connection, a slice,
 * or with `new LinkBuffer()` a buffer of your own, which can be written too.
 *
 * What is written is readable after {@link LinkBuffer.flush}. Reading and writing a buffer of your
 * own works without a connection; with {@link LinkBuffer.append} and `writer.append` its bytes go
 * to and fro without a copy. It holds memory of the arena until {@link LinkBuffer.close}, or until
 * the garbage collector finds it. The input and slices can only be read: writing calls throw
 * `ERR_NODEPOLL_UNSUPPORTED`.
 *
 * Bytes are read where they were received. A *view* is a `Buffer` over that memory: it belongs to
 * the LinkBuffer and is valid until its next {@link LinkBuffer.release}; a *copy* belongs to the
 * caller. A call that cannot be met throws and changes nothing. Around `onRequest` the input is
 * released by itself each time the handler settles.
 *
 * Too few bytes are `ERR_NODEPOLL_SHORT_BUFFER`, a count that is no non-negative integer is
 * `ERR_OUT_OF_RANGE`. Once a connection holds more than 64 MiB that are read and unreleased, reads
 * throw `ERR_NODEPOLL_UNRELEASED` until the next release.
 *
 * Follows the `Reader` of CloudWeGo's netpoll.
 *
 * @example
 * ```ts
 * import { serve } from 'nodepoll'
 *
 * await using server = await serve({
 *   host: '127.0.0.1',
 *   port: 0,
 *   onRequest({ input, writer }) {
 *     while (input.length >= 4) {
 *       const size = input.peekUInt32BE()
 *       if (input.length < 4 + size) return
 *       input.skip(4)
 *       writer.writeString(`${input.readString(size).toUpperCase()}\n`)
 *     }
 *     writer.flush()
 *   },
 * })
 * ```
 *
 * ```ts
 * import { LinkBuffer } from 'nodepoll'
 *
 * const message = new LinkBuffer()
 * message.writeUInt32BE(5).writeString('hello').flush()
 * const text = message.readString(message.readUInt32BE())
 * message.close()
 * ```
 */
export class LinkBuffer extends NumberReads {
  readonly #chain: Chain
  readonly #kind: Kind
  /** What was written and not flushed. Only buffers of the user's own are written. */
  readonly #builder: Builder | undefined
  readonly #guard: Guard | undefined
  /** A view over several nodes that was made since the last release, and its position. */
  #gathered: Buffer | undefined
  #gatheredAt = 0

  /**
   * Makes a buffer of your own. The first one starts the runtime, as a listener does.
   *
   * @param size How many bytes are about to be written. Up to 64 KiB of them will lie in one piece,
   *   if nothing else is written meanwhile, so that views of them are no copies. It is no limit.
   * @throws `ERR_OUT_OF_RANGE` if it is not an integer from 0 to 256 MiB.
   */
  constructor(size?: number)
  /** @internal */
  constructor(size: undefined, memory: Memory, kind: Kind)
  constructor(size?: number, memory?: Memory, kind: Kind = 'own') {
    super()
    const bytes = checkOptionalInteger(size, 'size', 0, PIECE_BYTES_MAX, 0)
    const arena = memory ?? currentRuntime().dispatcher.memory
    this.#chain = new Chain(arena, kind === 'input' ? UNRELEASED_MAX : Infinity)
    this.#kind = kind
    if (arena.guards) this.#guard = new Guard()
    if (kind === 'own') this.#builder = new Builder(arena)
    if (bytes > 0) arena.prepare(bytes)
    if (kind !== 'input') {
      dropped.register(this, this.#builder ? [this.#chain, this.#builder] : [this.#chain])
    }
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#chain.length
  }

  /**
   * Consumes `n` bytes and returns a view of them. Within one node nothing is copied; across nodes
   * one copy is made.
   */
  next(n: number): Buffer {
    const bytes = this.peek(n)
    this.#chain.advance(n)
    return bytes
  }

  /**
   * Returns a view of `n` bytes, `offset` bytes from here, and consumes nothing. Asked for again,
   * bytes of several nodes are not copied again.
   */
  peek(n: number, offset = 0): Buffer {
    checkCount(n)
    checkCount(offset, 'offset')
    this.#need(n + offset)
    if (n === 0) return EMPTY
    if (this.#guard !== undefined) return this.#guard.copy(this.#chain, n, offset)
    const { segment, skip } = this.#chain.find(offset)
    if (n > segment.end - segment.at - skip) return this.#gather(n, offset)
    this.#chain.hasViews = true
    return this.#chain.memory.view(segment, segment.at + skip, n)
  }

  /** Consumes `n` bytes. */
  skip(n: number): void {
    checkCount(n)
    this.#need(n)
    this.#chain.advance(n)
  }

  /**
   * Consumes all bytes up to the end of `delimiter` and returns a view of them. `undefined` if it
   * is not there; then nothing is consumed.
   *
   * @param delimiter One byte as a number, or at least one byte.
   */
  until(delimiter: number | Uint8Array): Buffer | undefined {
    const wanted = checkDelimiter(delimiter)
    const index = indexOf(this.#chain, wanted, 0)
    return index < 0 ? undefined : this.next(index + lengthOf(wanted))
  }

  /**
   * Where `delimiter` begins, counted from here, looking from `from` on; −1 if it is not there.
   *
   * @param delimiter One byte as a number, or at least one byte.
   */
  indexOf(delimiter: number | Uint8Array, from = 0): number {
    checkCount(from, 'from')
    return indexOf(this.#chain, checkDelimiter(delimiter), from)
  }

  /** Consumes `n` bytes and returns them as a string of the caller's own. */
  readString(n: number, encoding: BufferEncoding = 'utf8'): string {
    checkCount(n)
    if (encoding !== 'utf8') checkEncoding(encoding)
    this.#need(n)
    if (n === 0) return ''
    const { read } = this.#chain
    const text =
      read !== undefined && n <= read.end - read.at
        ? read.chunk.toString(encoding, read.at, read.at + n)
        : this.peek(n).toString(encoding)
    this.#chain.advance(n)
    return text
  }

  /** Consumes `n` bytes and returns a copy of them that stays valid for ever. */
  readBinary(n: number): Buffer {
    checkCount(n)
    this.#need(n)
    const copy = Buffer.allocUnsafe(n)
    this.#chain.copyTo(copy, 0)
    this.#chain.advance(n)
    return copy
  }

  /**
   * Consumes `n` bytes and returns them as a LinkBuffer of their own. It shares the nodes, outlives
   * this one and its releases, and holds their memory until it is released or closed itself. What
   * slices of a connection's input hold counts as read and unreleased there.
   */
  slice(n: number): LinkBuffer {
    checkCount(n)
    this.#need(n)
    const slice = new LinkBuffer(undefined, this.#chain.memory, 'slice')
    slice.#chain.borrow(this.#chain, n)
    return slice
  }

  /** Views of what is there, node by node. Consumes nothing. */
  *chunks(): IterableIterator<Buffer> {
    this.#chain.hasViews = true
    for (let segment = this.#chain.read; segment !== undefined; segment = segment.next) {
      const { at, end } = segment
      if (at === end) continue
      const bytes = this.#chain.memory.view(segment, at, end - at)
      if (this.#guard === undefined) yield bytes
      else yield this.#guard.view(bytes.length).fill(bytes)
    }
  }

  /**
   * Gives fully consumed nodes back. Views made before become invalid: their memory may hold
   * another connection's bytes from then on.
   */
  release(): void {
    this.#gathered = undefined
    this.#guard?.end()
    this.#chain.release()
  }

  override get mallocLength(): number {
    return this.#builder?.length ?? 0
  }

  /** Makes what was written readable. Views of `malloc` become read-only by contract. */
  flush(): this {
    this.#chain.add(this._writing().finish())
    return this
  }

  /**
   * Gives everything back, read or not, flushed or not, and leaves the buffer empty. Views of it
   * become invalid. A buffer of your own can be written again.
   *
   * @throws `ERR_NODEPOLL_UNSUPPORTED` for the input of a connection, which ends with it.
   */
  close(): void {
    if (this.#kind === 'input') {
      throw failure('ERR_NODEPOLL_UNSUPPORTED', 'the input ends with its connection')
    }
    this.#gathered = undefined
    this.#guard?.end()
    this.#chain.clear()
    this.#builder?.clear()
  }

  /** @internal */
  _writing(): Builder {
    if (this.#builder !== undefined) return this.#builder
    const what = this.#kind === 'input' ? 'the input of a connection' : 'a slice'
    throw failure('ERR_NODEPOLL_UNSUPPORTED', `${what} can only be read`)
  }

  /** @internal */
  get _chain(): Chain {
    return this.#chain
  }

  /** @internal */
  _locate(bytes: number, offset: number): number {
    const { read, consumed, consumedMax } = this.#chain
    const isNear = offset === 0 && read !== undefined && read.end - read.at >= bytes
    if (isNear && consumed <= consumedMax) {
      this._source = read.chunk
      return read.at
    }
    return this.#locateFar(bytes, offset)
  }

  /** @internal */
  _advance(bytes: number): void {
    this.#chain.advance(bytes)
  }

  #locateFar(bytes: number, offset: number): number {
    checkCount(offset, 'offset')
    this.#need(bytes + offset)
    const { segment, skip } = this.#chain.find(offset)
    if (segment.end - segment.at - skip >= bytes) {
      this._source = segment.chunk
      return segment.at + skip
    }
    this._source = scratch
    this.#chain.copyTo(bytes === scratch.length ? scratch : scratch.subarray(0, bytes), offset)
    return 0
  }

  /** Bytes of several nodes in one piece: many are moved into one node, few are copied. */
  #gather(n: number, offset: number): Buffer {
    if (n > GATHER_BYTES_MAX && this.#chain.join(offset + n)) return this.peek(n, offset)
    const position = this.#chain.consumed + offset
    const gathered = this.#gathered
    if (gathered?.length === n && this.#gatheredAt === position) return gathered
    const bytes = Buffer.allocUnsafe(n)
    this.#chain.copyTo(bytes, offset)
    this.#gathered = bytes
    this.#gatheredAt = position
    return bytes
  }

  /** Throws if so much is read and unreleased that nothing more may be read. @internal */
  _checkReleased(): void {
    if (this.#chain.consumed > this.#chain.consumedMax) {
      const what = `more than ${UNRELEASED_MAX >> 20} MiB are read and unreleased`
      throw failure('ERR_NODEPOLL_UNRELEASED', what)
    }
  }

  #need(n: number): void {
    this._checkReleased()
    const { length } = this.#chain
    if (n > length) {
      throw failure('ERR_NODEPOLL_SHORT_BUFFER', `${n} bytes are wanted, ${length} are there`)
    }
  }
}
