import { failure } from './errors.ts'
import type { Memory } from './internal/memory.ts'
import { NO_NODE, Segment } from './internal/segment.ts'
import { checkCount } from './internal/validate.ts'

/** Buffers of ended connections with nodes that views may lead to. */
const abandoned = new FinalizationRegistry<() => void>((release) => release())

const EMPTY = Buffer.alloc(0)

/**
 * A chain of nodes with the bytes that have arrived on a connection, read without waiting.
 *
 * Bytes are read where they were received. A *view* is a `Buffer` over that memory: it belongs to
 * the LinkBuffer and is valid until its next {@link LinkBuffer.release}; a *copy* belongs to the
 * caller. A call that cannot be met throws and changes nothing. Around `onRequest` the input is
 * released by itself each time the handler settles.
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
 *       const size = input.peek(4).readUInt32BE()
 *       if (input.length < 4 + size) return
 *       input.skip(4)
 *       writer.writeString(`${input.readString(size).toUpperCase()}\n`)
 *     }
 *     writer.flush()
 *   },
 * })
 * ```
 */
export class LinkBuffer {
  readonly #memory: Memory
  /** The first segment that is held, read or not. */
  #head: Segment | undefined
  /** The segment that the next byte is read from. All before it is consumed. */
  #read: Segment | undefined
  #tail: Segment | undefined
  #length = 0
  #consumed = 0
  /** Views have been made since the last release. */
  #hasViews = false
  #isAbandoned = false

  /** @internal */
  constructor(memory: Memory) {
    this.#memory = memory
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#length
  }

  /**
   * Consumes `n` bytes and returns a view of them. Within one node nothing is copied; across nodes
   * one copy is made.
   *
   * @throws `ERR_NODEPOLL_SHORT_BUFFER` if there are fewer, `ERR_OUT_OF_RANGE` if `n` is not a
   * non-negative integer.
   */
  next(n: number): Buffer {
    const bytes = this.peek(n)
    this.#advance(n)
    return bytes
  }

  /**
   * Returns a view of `n` bytes, `offset` bytes from here, and consumes nothing.
   *
   * @throws As {@link LinkBuffer.next}.
   */
  peek(n: number, offset = 0): Buffer {
    checkCount(n)
    checkCount(offset, 'offset')
    this.#need(n + offset)
    if (n === 0) return EMPTY
    let segment = this.#read as Segment
    let skip = offset
    while (skip >= segment.end - segment.at) {
      skip -= segment.end - segment.at
      segment = segment.next as Segment
    }
    const at = segment.at + skip
    if (n <= segment.end - at) {
      this.#hasViews = true
      return view(segment, at, n)
    }
    return gather(segment, at, Buffer.allocUnsafe(n))
  }

  /**
   * Consumes `n` bytes.
   *
   * @throws As {@link LinkBuffer.next}.
   */
  skip(n: number): void {
    checkCount(n)
    this.#need(n)
    this.#advance(n)
  }

  /**
   * Consumes `n` bytes and returns them as a string of the caller's own.
   *
   * @throws As {@link LinkBuffer.next}.
   */
  readString(n: number, encoding: BufferEncoding = 'utf8'): string {
    checkCount(n)
    this.#need(n)
    if (n === 0) return ''
    const segment = this.#read as Segment
    const text =
      n <= segment.end - segment.at
        ? segment.chunk.toString(encoding, segment.at, segment.at + n)
        : this.peek(n).toString(encoding)
    this.#advance(n)
    return text
  }

  /**
   * Consumes `n` bytes and returns a copy of them that stays valid for ever.
   *
   * @throws As {@link LinkBuffer.next}.
   */
  readBinary(n: number): Buffer {
    checkCount(n)
    this.#need(n)
    const copy = Buffer.allocUnsafe(n)
    if (n > 0) {
      const segment = this.#read as Segment
      gather(segment, segment.at, copy)
    }
    this.#advance(n)
    return copy
  }

  /**
   * Gives fully consumed nodes back. Views made before become invalid: their memory may hold
   * another connection's bytes from then on.
   */
  release(): void {
    let segment = this.#head
    while (segment !== undefined && segment.at === segment.end) {
      if (segment.node !== NO_NODE) this.#memory.release(segment.node)
      segment = segment.next
    }
    this.#head = segment
    this.#read = segment
    if (segment === undefined) this.#tail = undefined
    this.#hasViews = false
    if (this.#isAbandoned) abandoned.unregister(this)
  }

  /** Bytes consumed since the beginning. @internal */
  get _consumed(): number {
    return this.#consumed
  }

  /** Adds bytes that have arrived, with the lease on them. @internal */
  _receive(node: number, offset: number, length: number): void {
    const tail = this.#tail
    this.#length += length
    if (tail !== undefined && tail.node === node && tail.end === offset) {
      // It goes on where the last one ended: one lease will do for both.
      tail.end += length
      this.#memory.release(node)
      return
    }
    this.#link(new Segment(node, this.#memory.chunkOf(node), offset, offset + length))
  }

  /**
   * Takes all unread segments out, as a chain. What is consumed of the first one stays here until
   * it is released, and so does all that there may be views of. @internal
   */
  _takeUnread(): Segment | undefined {
    const first = this.#read
    if (first === undefined || this.#length === 0) return undefined
    this.#consumed += this.#length
    this.#length = 0
    const taken = first.at > first.start ? this.#split(first) : this.#cut(first)
    if (this.#hasViews) this.#keep(taken)
    return taken
  }

  /**
   * Holds nothing of the arena any more but what there may be views of: what is unread is copied
   * into memory of its own, what is held goes when nobody can ask for its release. @internal
   */
  _letGo(): void {
    const unread = this.readBinary(this.#length)
    this.#consumed -= unread.length
    if (this.#hasViews) this.#abandon()
    else this.release()
    if (unread.length > 0) {
      this.#length = unread.length
      this.#link(new Segment(NO_NODE, unread, 0, unread.length))
    }
  }

  #abandon(): void {
    const nodes: number[] = []
    for (let segment = this.#head; segment !== undefined; segment = segment.next) {
      if (segment.node !== NO_NODE) nodes.push(segment.node)
    }
    const memory = this.#memory
    this.#isAbandoned = true
    abandoned.register(this, () => nodes.forEach((node) => memory.release(node)), this)
  }

  #link(segment: Segment): void {
    const tail = this.#tail
    if (tail === undefined) {
      this.#head = segment
      this.#read = segment
    } else {
      tail.next = segment
      // The reading end waits at a segment that is used up.
      if (this.#read === tail && tail.at === tail.end) this.#read = segment
    }
    this.#tail = segment
  }

  /** Cuts the chain in the middle of a segment; the rest of it gets a lease of its own. */
  #split(first: Segment): Segment {
    const { node, chunk, at, end, next } = first
    if (node !== NO_NODE) this.#memory.retain(node)
    const rest = new Segment(node, chunk, at, end)
    rest.next = next
    first.end = at
    first.next = undefined
    this.#tail = first
    return rest
  }

  /** Cuts the chain before a segment of which nothing is consumed. */
  #cut(first: Segment): Segment {
    const last = this.#before(first)
    if (last !== undefined) last.next = undefined
    else this.#head = undefined
    this.#tail = last
    this.#read = last
    return first
  }

  /** Holds segments that others have taken until the release, with leases of its own. */
  #keep(taken: Segment): void {
    for (let segment: Segment | undefined = taken; segment; segment = segment.next) {
      if (segment.node === NO_NODE) continue
      this.#memory.retain(segment.node)
      const held = new Segment(segment.node, segment.chunk, segment.at, segment.end)
      held.at = held.end
      this.#link(held)
    }
  }

  #before(segment: Segment): Segment | undefined {
    let before = this.#head
    if (before === segment) return undefined
    while (before !== undefined && before.next !== segment) before = before.next
    return before
  }

  #need(n: number): void {
    if (n > this.#length) {
      throw failure('ERR_NODEPOLL_SHORT_BUFFER', `${n} bytes are wanted, ${this.#length} are there`)
    }
  }

  #advance(n: number): void {
    this.#length -= n
    this.#consumed += n
    let rest = n
    let segment = this.#read
    while (segment !== undefined) {
      const step = Math.min(rest, segment.end - segment.at)
      segment.at += step
      rest -= step
      if (segment.at < segment.end || segment.next === undefined) break
      segment = segment.next
    }
    this.#read = segment
  }
}

function view(segment: Segment, at: number, n: number): Buffer {
  const { buffer, byteOffset } = segment.chunk
  return Buffer.from(buffer as ArrayBuffer, byteOffset + at, n)
}

/** Fills `target` with the bytes from `at` in `first` on. */
function gather(first: Segment, at: number, target: Buffer): Buffer {
  let filled = 0
  let from = at
  let segment: Segment | undefined = first
  while (segment !== undefined && filled < target.length) {
    filled += segment.chunk.copy(target, filled, from, segment.end)
    segment = segment.next
    from = segment?.at ?? 0
  }
  return target
}
