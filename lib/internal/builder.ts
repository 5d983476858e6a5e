import type { Chain } from './chain.ts'
import { Guard } from './guard.ts'
import { NODE_BYTES_MAX } from './limits.ts'
import type { Memory } from './memory.ts'
import { NO_NODE, Segment } from './segment.ts'

/** A guarded view, and the room that gets its bytes, with a lease on it. */
interface Guarded {
  readonly view: Buffer
  readonly target: Buffer
  readonly node: number
}

/**
 * Bytes that have been written and not flushed: segments in a row that grow at the end, can be
 * shortened from there and take others in between. What has a writing end owns one.
 *
 * ```text
 *  head                              tail
 *   ▼                                 ▼
 *  [reserved] ─▶ [taken over] ─▶ [reserved│room of the node
 * ```
 */
export class Builder {
  /** Bytes in it. */
  length = 0
  readonly memory: Memory
  #head: Segment | undefined
  #tail: Segment | undefined
  /** It has segments whose room others may still look at, or write to. */
  #isShared = false
  readonly #guard: Guard | undefined
  #guarded: Guarded[] = []

  constructor(memory: Memory) {
    this.memory = memory
    if (memory.guards) this.#guard = new Guard()
  }

  /** Reserves room at the end. The segment's last `bytes` bytes are the new ones. */
  reserve(bytes: number): Segment {
    const tail = this.#tail
    const segment = this.memory.reserve(bytes, tail)
    this.length += bytes
    if (segment !== tail) this.#link(segment)
    return segment
  }

  /** Reserves room at the end and gives a view of it, which ends with `finish` or `clear`. */
  view(bytes: number): Buffer {
    const segment = this.reserve(bytes)
    const target = this.memory.view(segment, segment.end - bytes, bytes)
    if (this.#guard === undefined) return target
    const view = this.#guard.view(bytes)
    // What is dropped before the flush must not be written by others until then.
    this.memory.retain(segment.node)
    this.#isShared = true
    this.#guarded.push({ view, target, node: segment.node })
    return view
  }

  /** Takes back the last bytes of a segment that has just been reserved. */
  unreserve(segment: Segment, bytes: number): void {
    this.memory.unreserve(segment, bytes)
    this.length -= bytes
  }

  /** Copies bytes to the end: all of them, or none if there is no room. */
  write(bytes: Uint8Array): void {
    this.memory.bytesCopied += bytes.length
    if (bytes.length <= NODE_BYTES_MAX) {
      const segment = this.reserve(bytes.length)
      segment.chunk.set(bytes, segment.end - bytes.length)
      return
    }
    for (const piece of this.#copy([bytes])) this.#link(piece)
    this.length += bytes.length
  }

  /** Adds a segment that others may have views of, with its lease. */
  addShared(segment: Segment): void {
    this.#link(segment)
    this.length += segment.end - segment.at
    this.#isShared = true
  }

  /** Splices a copy of `bytes` in front of the last `remain` bytes, or nothing without room. */
  splice(bytes: Uint8Array, remain: number): void {
    this.memory.bytesCopied += bytes.length
    const pieces = this.#copy([bytes])
    const { before, rest } = this.#find(this.length - remain)
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
    this.length += bytes.length
  }

  /** Keeps the first `n` bytes. */
  keep(n: number): void {
    const { before, rest } = this.#find(n)
    const next = before === undefined ? this.#head : before.next
    if (next !== undefined && rest > 0) {
      this.#cutAfter(next, next.next)
      const excess = next.end - next.at - rest
      if (this.#isShared) next.end -= excess
      else this.memory.unreserve(next, excess)
    } else {
      this.#cutAfter(before, next)
    }
    this.length = n
  }

  /**
   * Takes all unread segments of a chain over. Bytes of an ended connection, which lie outside the
   * arena, are copied first: without room for them nothing has changed.
   */
  takeFrom(chain: Chain): void {
    const outside: Uint8Array[] = []
    for (let segment = chain.read; segment !== undefined; segment = segment.next) {
      if (segment.node !== NO_NODE) continue
      outside.push(segment.chunk.subarray(segment.at, segment.end))
    }
    const copies = outside.length === 0 ? [] : this.#copy(outside)
    for (const bytes of outside) this.memory.bytesCopied += bytes.length
    this.length += chain.length
    for (let segment = chain.takeUnread(); segment !== undefined;) {
      const { next } = segment
      segment.next = undefined
      if (segment.node === NO_NODE) {
        for (let rest = segment.end - segment.at; rest > 0;) {
          const copy = copies.shift() as Segment
          rest -= copy.end - copy.at
          this.#link(copy)
        }
      } else {
        this.#link(segment)
      }
      segment = next
    }
    this.#isShared = true
  }

  /** Takes everything out, as a chain of segments. */
  finish(): Segment | undefined {
    if (this.#guard !== undefined) this.#endViews(this.#guard)
    const head = this.#head
    this.#head = undefined
    this.#tail = undefined
    this.#isShared = false
    this.length = 0
    return head
  }

  /** Gives everything back. */
  clear(): void {
    for (let segment = this.finish(); segment !== undefined; segment = segment.next) {
      this.memory.release(segment.node)
    }
  }

  #endViews(guard: Guard): void {
    for (const { view, target, node } of this.#guarded) {
      target.set(view)
      this.memory.release(node)
    }
    this.#guarded = []
    guard.end()
  }

  /** Copies bytes into segments that are not linked yet, node by node. */
  #copy(parts: readonly Uint8Array[]): Segment[] {
    const pieces: Segment[] = []
    try {
      for (const bytes of parts) {
        for (let at = 0; at < bytes.length; at += NODE_BYTES_MAX) {
          const length = Math.min(NODE_BYTES_MAX, bytes.length - at)
          const piece = this.memory.reserve(length, undefined)
          piece.chunk.set(bytes.subarray(at, at + length), piece.start)
          pieces.push(piece)
        }
      }
    } catch (error) {
      for (const { node } of pieces) this.memory.release(node)
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
    this.memory.retain(segment.node)
    const right = new Segment(segment.node, segment.chunk, at, segment.end)
    right.next = segment.next
    segment.end = at
    segment.next = right
    if (this.#tail === segment) this.#tail = right
  }

  /** Drops all segments from `first` on, which follows `last`. */
  #cutAfter(last: Segment | undefined, first: Segment | undefined): void {
    for (let segment = first; segment !== undefined; segment = segment.next) {
      this.memory.release(segment.node)
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
