import { Guard } from './guard.ts'
import type { Intake } from './intake.ts'
import { REST_BYTES_MAX } from './limits.ts'
import { Loan } from './loan.ts'
import type { Memory } from './memory.ts'
import { NO_NODE, Segment } from './segment.ts'

/** Chains of ended connections with nodes that views may lead to. */
const abandoned = new FinalizationRegistry<() => void>((release) => release())

/** A copy of bytes that lie in several nodes, and the position of the first of them. */
interface Gathered {
  readonly bytes: Buffer
  readonly position: number
}

/**
 * Segments in a row, consumed from the front and released behind.
 *
 * ```text
 *  head                read                 tail
 *   │ consumed, held     │ unread             │
 *   ▼                    ▼                    ▼
 *  [seg] ─▶ [seg] ─▶ [se|g] ─▶ [seg] ─▶ [seg]
 * ```
 * Every segment has a lease of its own, or memory that is nobody else's.
 */
export class Chain {
  /** Unread bytes. */
  length = 0
  /** Bytes consumed since the beginning: the position of the next byte. */
  consumed = 0
  /** No more is read from a position beyond this one: too much is consumed and held. */
  consumedMax: number
  /** The segment that the next byte is read from. All before it is consumed. */
  read: Segment | undefined
  /** Views have been made since the last release. */
  hasViews = false
  /** Where it stands among the {@link Rests}, or −1. */
  restAt = -1
  /** Once this position is consumed, the intake is told. */
  moveAt: number = Infinity
  /** For the input of a connection: how far it may come. */
  intake: Intake | undefined
  /** Bytes that slices of it hold. They count as held until these give them back. */
  lent = 0
  /** How often it was released. */
  releases = 0
  /** Bytes of several nodes that were shown since the last release, as a copy. */
  gathered: Gathered | undefined
  readonly memory: Memory
  readonly guard: Guard | undefined
  /** The first segment that is held, read or not. */
  #head: Segment | undefined
  #tail: Segment | undefined
  #isAbandoned = false
  readonly #heldMax: number
  /** What it holds of another chain, if it is a slice. */
  #loan: Loan | undefined

  /** `heldMax` bounds the consumed bytes that wait for their release. */
  constructor(memory: Memory, heldMax: number) {
    this.memory = memory
    this.#heldMax = heldMax
    this.consumedMax = heldMax
    this.guard = memory.guards ? new Guard() : undefined
  }

  /** Begins, empty, at a position. */
  begin(consumed: number): void {
    this.consumed = consumed
    this.consumedMax = consumed + this.#heldMax
  }

  /** Whether it holds nothing and nobody refers to it. */
  get isIdle(): boolean {
    return this.#head === undefined && this.lent === 0 && !this.#isAbandoned
  }

  /** Is left, idle, to begin again elsewhere. */
  end(): void {
    this.moveAt = Infinity
    this.memory.rests.remove(this)
  }

  /** Gives the nodes of consumed segments back. */
  release(): void {
    let segment = this.#head
    while (segment !== undefined && segment.at === segment.end) {
      if (segment.node !== NO_NODE) this.memory.release(segment.node)
      segment = segment.next
    }
    this.#head = segment
    this.read = segment
    if (segment === undefined) this.#tail = undefined
    this.hasViews = false
    const held = segment === undefined ? 0 : segment.at - segment.start
    this.releases++
    this.consumedMax = this.consumed - held + this.#heldMax - this.lent
    this.#loan?.keep(this.length + held)
    if (this.#isAbandoned) abandoned.unregister(this)
  }

  /** Adds bytes that have arrived, with the lease on them and `front` bytes in front of them. */
  receive(node: number, offset: number, length: number, front: number): void {
    if (this.#extend(node, offset, length)) return
    const unread = this.length
    if (front < unread || front === 0) {
      this.length += length
      this.link(new Segment(node, this.memory.chunkOf(node), offset, offset + length))
      return
    }
    // What came before is put in front, so that all of it is in one piece.
    const chunk = this.memory.chunkOf(node)
    this.#moveOut(chunk.subarray(offset - unread, offset))
    if (!this.hasViews) this.release()
    this.length = unread + length
    this.link(new Segment(node, chunk, offset - unread, offset + length))
  }

  /** Puts the first `n` unread bytes into one node, if there is room for one. Whether so. */
  join(n: number): boolean {
    const room = this.memory.leaseRoom(n, false)
    if (room === undefined) return false
    this.#moveOut(room.chunk.subarray(room.at, room.end))
    const first = this.read as Segment
    const rest = this.length === 0 ? undefined : this.#cutAt(first)
    this.link(room)
    this.length += n
    if (rest !== undefined) {
      room.next = rest
      this.#tail = lastOf(rest)
    }
    if (!this.hasViews) this.release()
    return true
  }

  /** Copies a short unread rest out of the arena, unless there may be views of it. */
  compact(): void {
    const { length, read } = this
    if (length === 0 || length > REST_BYTES_MAX || this.hasViews) return
    if (read?.node === NO_NODE && read.end - read.at === length) return
    this.#leaveRest()
  }

  /** Puts unread bytes into memory of their own, and lets go of all that is held. */
  #leaveRest(): void {
    const unread = Buffer.allocUnsafe(this.length)
    this.#moveOut(unread)
    this.release()
    if (unread.length === 0) return
    this.length = unread.length
    this.link(new Segment(NO_NODE, unread, 0, unread.length))
  }

  /** Copies all unread bytes to a place from which they are read from now on. */
  #moveOut(target: Buffer): void {
    this.copyTo(target, 0)
    this.consumed -= target.length
    this.advance(target.length)
  }

  /** Adds a segment of the arena and all that follow it, with their leases. */
  add(first: Segment | undefined): void {
    for (let segment = first; segment !== undefined;) {
      const { node, at, end, next } = segment
      segment.next = undefined
      if (node === NO_NODE || !this.#extend(node, at, end - at)) {
        this.length += end - at
        this.link(segment)
      }
      segment = next
    }
  }

  /** Takes the next `n` bytes of another chain over, which go on to count as held by that one. */
  borrow(from: Chain, n: number): void {
    this.#loan = new Loan(from.#loan?.lender ?? from, n)
    this.add(from.share(n))
  }

  /** What goes on where the last segment ends becomes part of it: one lease will do for both. */
  #extend(node: number, at: number, length: number): boolean {
    const tail = this.#tail
    if (tail === undefined || tail.node !== node || tail.end !== at) return false
    tail.end += length
    this.length += length
    this.memory.release(node)
    return true
  }

  /**
   * Takes all unread segments out, as a chain. What is consumed of the first one stays here until
   * it is released, and so does all that there may be views of.
   */
  takeUnread(): Segment | undefined {
    const first = this.read
    if (first === undefined || this.length === 0) return undefined
    this.consumed += this.length
    if (this.consumed >= this.moveAt) this.intake?.moved()
    // What is taken is held here only if there may be views of it.
    if (!this.hasViews) {
      this.consumedMax += this.length
      this.#loan?.repay(this.length)
    }
    this.length = 0
    const taken = this.#cutAt(first)
    if (this.hasViews) this.#keep(taken)
    return taken
  }

  /**
   * Holds nothing of the arena any more but what there may be views of: what is unread is copied
   * into memory of its own, what is held goes when nobody can ask for its release.
   */
  letGo(): void {
    this.moveAt = Infinity
    this.memory.rests.remove(this)
    if (!this.hasViews) {
      this.#leaveRest()
      return
    }
    const unread = Buffer.allocUnsafe(this.length)
    this.#moveOut(unread)
    this.#abandon()
    if (unread.length === 0) return
    this.length = unread.length
    this.link(new Segment(NO_NODE, unread, 0, unread.length))
  }

  #abandon(): void {
    const nodes: number[] = []
    for (let segment = this.#head; segment !== undefined; segment = segment.next) {
      if (segment.node !== NO_NODE) nodes.push(segment.node)
    }
    const memory = this.memory
    this.#isAbandoned = true
    abandoned.register(this, () => nodes.forEach((node) => memory.release(node)), this)
  }

  /** Adds a segment at the end. Its bytes are not counted. */
  link(segment: Segment): void {
    const tail = this.#tail
    if (tail === undefined) {
      this.#head = segment
      this.read = segment
    } else {
      tail.next = segment
      // The reading end waits at a segment that is used up.
      if (this.read === tail && tail.at === tail.end) this.read = segment
    }
    this.#tail = segment
  }

  /** The segment that holds the byte `offset` bytes from here, and how far in it that is. */
  find(offset: number): { segment: Segment; skip: number } {
    let segment = this.read as Segment
    let skip = offset
    while (skip >= segment.end - segment.at) {
      skip -= segment.end - segment.at
      segment = segment.next as Segment
    }
    return { segment, skip }
  }

  /** Fills `target` with the bytes from `offset` on. They are there. */
  copyTo(target: Buffer, offset: number): void {
    if (target.length === 0) return
    this.memory.bytesCopied += target.length
    const { segment: first, skip } = this.find(offset)
    let segment: Segment | undefined = first
    let from = first.at + skip
    let filled = 0
    while (segment !== undefined && filled < target.length) {
      filled += segment.chunk.copy(target, filled, from, segment.end)
      segment = segment.next
      from = segment?.at ?? 0
    }
  }

  /**
   * Consumes `n` bytes that are there and returns them as segments with leases of their own, which
   * stay when these are released.
   */
  share(n: number): Segment | undefined {
    let first: Segment | undefined
    let last: Segment | undefined
    let rest = n
    let segment = this.read
    while (segment !== undefined && rest > 0) {
      const step = Math.min(rest, segment.end - segment.at)
      if (step > 0) {
        if (segment.node !== NO_NODE) this.memory.retain(segment.node)
        const shared = new Segment(segment.node, segment.chunk, segment.at, segment.at + step)
        if (last === undefined) first = shared
        else last.next = shared
        last = shared
        rest -= step
      }
      segment = segment.next
    }
    this.advance(n)
    return first
  }

  /** A segment, with a lease of its own, for a view that was made of one that is held here. */
  shareView({ buffer, byteOffset, length }: Uint8Array): Segment | undefined {
    for (let held = this.#head; held !== undefined; held = held.next) {
      const { node, chunk, start, end } = held
      if (node === NO_NODE || chunk.buffer !== buffer) continue
      const at = byteOffset - chunk.byteOffset
      if (at < start || at + length > end) continue
      this.memory.retain(node)
      return new Segment(node, chunk, at, at + length)
    }
    return undefined
  }

  /** Gives everything back, read or not. */
  clear(): void {
    this.advance(this.length)
    this.release()
  }

  /** Takes out all that is unread, from this segment on. */
  #cutAt(first: Segment): Segment {
    return first.at > first.start ? this.#split(first) : this.#cut(first)
  }

  /** Cuts the chain in the middle of a segment; the rest of it gets a lease of its own. */
  #split(first: Segment): Segment {
    const { node, chunk, at, end, next } = first
    if (node !== NO_NODE) this.memory.retain(node)
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
    this.read = last
    return first
  }

  /** Holds segments that others have taken until the release, with leases of its own. */
  #keep(taken: Segment): void {
    for (let segment: Segment | undefined = taken; segment; segment = segment.next) {
      if (segment.node === NO_NODE) continue
      this.memory.retain(segment.node)
      const held = new Segment(segment.node, segment.chunk, segment.at, segment.end)
      held.at = held.end
      this.link(held)
    }
  }

  #before(segment: Segment): Segment | undefined {
    let before = this.#head
    if (before === segment) return undefined
    while (before !== undefined && before.next !== segment) before = before.next
    return before
  }

  /** Consumes bytes that are there. */
  advance(n: number): void {
    this.length -= n
    this.consumed += n
    if (this.consumed >= this.moveAt) this.intake?.moved()
    let segment = this.read
    if (segment !== undefined && n < segment.end - segment.at) {
      segment.at += n
      return
    }
    let rest = n
    while (segment !== undefined) {
      const step = Math.min(rest, segment.end - segment.at)
      segment.at += step
      rest -= step
      if (segment.at < segment.end || segment.next === undefined) break
      segment = segment.next
    }
    this.read = segment
  }
}

function lastOf(first: Segment): Segment {
  let last = first
  while (last.next !== undefined) last = last.next
  return last
}
