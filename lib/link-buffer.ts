import { failure } from './errors.ts'
import { Builder } from './internal/builder.ts'
import { Chain } from './internal/chain.ts'
import { GATHER_BYTES_MAX, PIECE_BYTES_MAX, UNRELEASED_MAX } from './internal/limits.ts'
import { foundIn, NumberReads } from './internal/number-reads.ts'
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

/** Whose input a LinkBuffer is: gives it something to read from, and takes it back. */
interface Source {
  _beginInput(): Chain
  /** Whether it has been taken back. */
  _endInput(chain: Chain): boolean
}

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
  /** What is read from. The input of a connection has none while it is empty and released. */
  #chain: Chain | undefined
  /** What was written and not flushed. Only buffers of the user's own are written. */
  readonly #builder: Builder | undefined
  /** The connection that this is the input of. */
  readonly #source: Source | undefined

  /**
   * Makes a buffer of your own. The first one starts the runtime, as a listener does.
   *
   * @param size How many bytes are about to be written. Up to 64 KiB of them will lie in one piece,
   *   if nothing else is written meanwhile, so that views of them are no copies. It is no limit.
   * @throws `ERR_OUT_OF_RANGE` if it is not an integer from 0 to 256 MiB.
   */
  constructor(size?: number)
  /** @internal */
  constructor(size: undefined, from: Source | Chain)
  constructor(size?: number, from?: Source | Chain) {
    super()
    if (from === undefined) {
      const bytes = checkOptionalInteger(size, 'size', 0, PIECE_BYTES_MAX, 0)
      const { memory } = currentRuntime().dispatcher
      this.#chain = new Chain(memory, Infinity)
      this.#builder = new Builder(memory)
      if (bytes > 0) memory.prepare(bytes)
      dropped.register(this, [this.#chain, this.#builder])
    } else if (from instanceof Chain) {
      this.#chain = from
      dropped.register(this, [from])
    } else {
      this.#source = from
    }
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#chain === undefined ? 0 : this.#chain.length
  }

  /**
   * Consumes `n` bytes and returns a view of them, valid until the next release. Within one node
   * nothing is copied; across nodes one copy is made.
   */
  next(n: number): Buffer {
    const bytes = this.peek(n)
    this._advance(n)
    return bytes
  }

  /**
   * Returns a view of `n` bytes, `offset` bytes from here, valid until the next release, and
   * consumes nothing. Asked for again, bytes of several nodes are not copied again.
   */
  peek(n: number, offset = 0): Buffer {
    checkCount(n)
    checkCount(offset, 'offset')
    const chain = this._need(n + offset)
    if (n === 0) return EMPTY
    if (chain.guard !== undefined) return chain.guard.copy(chain, n, offset)
    const { segment, skip } = chain.find(offset)
    if (n > segment.end - segment.at - skip) return this._gather(chain, n, offset)
    chain.hasViews = true
    return chain.memory.view(segment, segment.at + skip, n)
  }

  /** Consumes `n` bytes, without looking at them. */
  skip(n: number): void {
    checkCount(n)
    this._need(n).advance(n)
  }

  /**
   * Consumes all bytes up to the end of `delimiter` and returns a view of them, valid until the
   * next release. `undefined` if it is not there; then nothing is consumed.
   *
   * @param delimiter One byte as a number, or at least one byte.
   *
   * @example
   * ```ts
   * import { LinkBuffer } from 'nodepoll'
   *
   * const buffer = new LinkBuffer()
   * buffer.writeString('one\ntwo').flush()
   * buffer.until(0x0a)?.toString() // 'one\n'
   * buffer.until(0x0a) // undefined
   * buffer.readString(3) // 'two'
   * buffer.close()
   * ```
   */
  until(delimiter: number | Uint8Array): Buffer | undefined {
    const wanted = checkDelimiter(delimiter)
    const index = this.#chain === undefined ? -1 : indexOf(this.#chain, wanted, 0)
    return index < 0 ? undefined : this.next(index + lengthOf(wanted))
  }

  /**
   * Where `delimiter` begins, counted from here, looking from `from` on; −1 if it is not there. It
   * may lie across nodes. Consumes nothing and makes no view.
   *
   * @param delimiter One byte as a number, or at least one byte.
   */
  indexOf(delimiter: number | Uint8Array, from = 0): number {
    checkCount(from, 'from')
    const wanted = checkDelimiter(delimiter)
    return this.#chain === undefined ? -1 : indexOf(this.#chain, wanted, from)
  }

  /** Consumes `n` bytes, not characters, and returns them as a string of the caller's own. */
  readString(n: number, encoding: BufferEncoding = 'utf8'): string {
    checkCount(n)
    if (encoding !== 'utf8') checkEncoding(encoding)
    const chain = this._need(n)
    if (n === 0) return ''
    const { read } = chain
    const text =
      read !== undefined && n <= read.end - read.at
        ? read.chunk.toString(encoding, read.at, read.at + n)
        : this.peek(n).toString(encoding)
    chain.advance(n)
    return text
  }

  /** Consumes `n` bytes and returns a copy of them that stays valid for ever. */
  readBinary(n: number): Buffer {
    checkCount(n)
    const chain = this._need(n)
    const copy = Buffer.allocUnsafe(n)
    chain.copyTo(copy, 0)
    chain.advance(n)
    return copy
  }

  /**
   * Consumes `n` bytes and returns them as a LinkBuffer of their own. It shares the nodes, outlives
   * this one and its releases, and holds their memory until it is released or closed itself. What
   * slices of a connection's input hold counts as read and unreleased there.
   *
   * A short slice holds the whole node in which its bytes lie: copy what is short (`readBinary`).
   * Follows `Slice` of CloudWeGo's netpoll, which releases the reader as well; this does not.
   *
   * @example
   * ```ts
   * import { LinkBuffer } from 'nodepoll'
   *
   * const buffer = new LinkBuffer()
   * buffer.writeString('head body').flush()
   * buffer.skip(5)
   * const body = buffer.slice(4)
   * buffer.close()
   * body.readString(4) // 'body'
   * body.close()
   * ```
   */
  slice(n: number): LinkBuffer {
    checkCount(n)
    const chain = this._need(n)
    const slice = new Chain(chain.memory, Infinity)
    slice.borrow(chain, n)
    return new LinkBuffer(undefined, slice)
  }

  /**
   * Views of what is there, node by node, valid until the next release. Consumes nothing; what
   * comes while it runs may or may not be seen.
   */
  *chunks(): IterableIterator<Buffer> {
    const chain = this.#chain
    if (chain === undefined) return
    chain.hasViews = true
    for (let segment = chain.read; segment !== undefined; segment = segment.next) {
      const { at, end } = segment
      if (at === end) continue
      const bytes = chain.memory.view(segment, at, end - at)
      if (chain.guard === undefined) yield bytes
      else yield chain.guard.view(bytes.length).fill(bytes)
    }
  }

  /**
   * Gives fully consumed nodes back. Views made before become invalid: their memory may hold
   * another connection's bytes from then on. Around `onRequest` this is done by itself each time
   * the handler has settled.
   */
  release(): void {
    const chain = this.#chain
    if (chain === undefined) return
    this._endViews(chain)
    chain.release()
    if (this.#source?._endInput(chain)) this.#chain = undefined
  }

  override get mallocLength(): number {
    return this.#builder?.length ?? 0
  }

  /**
   * Makes what was written readable. Views of `malloc` end with it: they must not be written any
   * more.
   *
   * @throws `ERR_NODEPOLL_UNSUPPORTED` for the input of a connection and for slices.
   */
  flush(): this {
    this._chain.add(this._writing().finish())
    return this
  }

  /**
   * Gives everything back, read or not, flushed or not, and leaves the buffer empty. Views of it
   * become invalid. A buffer of your own can be written again.
   *
   * @throws `ERR_NODEPOLL_UNSUPPORTED` for the input of a connection, which ends with it.
   */
  close(): void {
    if (this.#source !== undefined) {
      throw failure('ERR_NODEPOLL_UNSUPPORTED', 'the input ends with its connection')
    }
    this._endViews(this._chain)
    this._chain.clear()
    this.#builder?.clear()
  }

  /** @internal */
  _writing(): Builder {
    if (this.#builder !== undefined) return this.#builder
    const what = this.#source === undefined ? 'a slice' : 'the input of a connection'
    throw failure('ERR_NODEPOLL_UNSUPPORTED', `${what} can only be read`)
  }

  /** @internal */
  get _chain(): Chain {
    return (this.#chain ??= (this.#source as Source)._beginInput())
  }

  /** What can be shared of it, if there is anything. @internal */
  get _openChain(): Chain | undefined {
    return this.#chain
  }

  /** @internal */
  _locate(bytes: number, offset: number): number {
    const { read, consumed, consumedMax } = this._chain
    const isNear = offset === 0 && read !== undefined && read.end - read.at >= bytes
    if (isNear && consumed <= consumedMax) {
      return foundIn(read.chunk, read.at)
    }
    return this._locateFar(bytes, offset)
  }

  /** @internal */
  _advance(bytes: number): void {
    this._chain.advance(bytes)
  }

  private _locateFar(bytes: number, offset: number): number {
    checkCount(offset, 'offset')
    const chain = this._need(bytes + offset)
    const { segment, skip } = chain.find(offset)
    if (segment.end - segment.at - skip >= bytes) {
      return foundIn(segment.chunk, segment.at + skip)
    }
    chain.copyTo(bytes === scratch.length ? scratch : scratch.subarray(0, bytes), offset)
    return foundIn(scratch, 0)
  }

  /** Bytes of several nodes in one piece: many are moved into one node, few are copied. */
  private _gather(chain: Chain, n: number, offset: number): Buffer {
    if (n > GATHER_BYTES_MAX && chain.join(offset + n)) return this.peek(n, offset)
    const position = chain.consumed + offset
    const { gathered } = chain
    if (gathered?.bytes.length === n && gathered.position === position) return gathered.bytes
    const bytes = Buffer.allocUnsafe(n)
    chain.copyTo(bytes, offset)
    chain.gathered = { bytes, position }
    return bytes
  }

  private _endViews(chain: Chain): void {
    chain.gathered = undefined
    chain.guard?.end()
  }

  /** Throws if so much is read and unreleased that nothing more may be read. @internal */
  _checkReleased(): void {
    const chain = this.#chain
    if (chain !== undefined && chain.consumed > chain.consumedMax) {
      const what = `more than ${UNRELEASED_MAX >> 20} MiB are read and unreleased`
      throw failure('ERR_NODEPOLL_UNRELEASED', what)
    }
  }

  private _need(n: number): Chain {
    this._checkReleased()
    const { length } = this
    if (n > length) {
      throw failure('ERR_NODEPOLL_SHORT_BUFFER', `${n} bytes are wanted, ${length} are there`)
    }
    return this._chain
  }
}
