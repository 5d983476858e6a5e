import { failure } from '../errors.ts'
import type { NativeRuntime } from '../native/index.ts'
import { CONTROL_LEASE_CHANGES } from '../native/record.ts'
import { Builder } from './builder.ts'
import { allocateChunk } from './chunk.ts'
import { Intake } from './intake.ts'
import {
  CHUNK_BYTES,
  CHUNKS_AT_START,
  GRANULE_BYTES,
  LEASE_CHANGES,
  PIECE_BYTES_MAX,
  SPARES_MAX,
  WAIT_PART,
  WRITE_NODE_BYTES,
} from './limits.ts'
import { Pool } from './pool.ts'
import { Rests } from './rests.ts'
import { NO_NODE, Segment } from './segment.ts'
import { viewOf } from './view.ts'

/** A node's identifier names its chunk in the upper bits: see `SegmentId` in `crates/linkbuf`. */
const CHUNK_SHIFT = 8

/** A leased node that output is written into, front to back. */
interface WriteNode {
  readonly node: number
  readonly chunk: Buffer
  readonly end: number
  at: number
  /** Leases on it that no segment has. There is one for each byte at first. */
  leases: number
}

/**
 * The arena as JavaScript sees it: its chunks, the leases on its nodes, the node to write into.
 *
 * Releasing is writing a number down; the next exchange carries it over. Releases of one node that
 * follow each other, the usual case with small messages, become one.
 */
export class Memory {
  /** Views are memory of their own, which is detached at their end. */
  readonly guards: boolean
  /** The most bytes that a read may wait for. */
  readonly waitMax: number
  /** Bytes copied, by calls that copy and to put together what lies apart. */
  bytesCopied = 0
  /** Bytes that slices refer to. */
  bytesSliced = 0
  /** Sockets wait for memory, and there was no more to be granted. */
  isShort = false
  /** What was left unread. */
  readonly rests: Rests = new Rests()
  /** What connections write into. */
  readonly builders: Pool<Builder> = new Pool(() => new Builder(this), SPARES_MAX)
  /** What connections receive into. */
  readonly intakes: Pool<Intake> = new Pool(() => new Intake(this), SPARES_MAX)
  readonly #native: NativeRuntime
  readonly #control: Int32Array
  readonly #changes: Int32Array
  readonly #exchange: () => void
  readonly #schedule: () => void
  readonly #chunks: Buffer[] = []
  /** What the chunks are views of, from their first byte on. */
  readonly #buffers: ArrayBufferLike[] = []
  readonly #max: number
  #granted = 0
  #changeCount = 0
  #node = NO_NODE
  #change = 0
  #writeNode: WriteNode | undefined

  constructor(
    native: NativeRuntime,
    control: Int32Array,
    changes: Int32Array,
    exchange: () => void,
    schedule: () => void,
    guards: boolean,
    max: number,
  ) {
    this.guards = guards
    this.#max = max
    this.waitMax = Math.min(max / WAIT_PART, PIECE_BYTES_MAX)
    this.#native = native
    this.#control = control
    this.#changes = changes
    this.#exchange = exchange
    this.#schedule = schedule
    for (let index = 0; index < CHUNKS_AT_START; index++) this.grant(CHUNK_BYTES)
  }

  /** Grants a chunk to the arena, unless it has all it may have. */
  grant(bytes: number, max: number = this.#max): boolean {
    if (this.#granted + bytes > max) return false
    const chunk = allocateChunk(bytes)
    const index = this.#native.grant(chunk)
    if (index < 0) return false
    this.#granted += bytes
    this.#chunks[index] = chunk
    this.#buffers[index] = chunk.buffer
    return true
  }

  /** The chunk in which a node lies. */
  chunkOf(node: number): Buffer {
    return this.#chunks[node >> CHUNK_SHIFT] as Buffer
  }

  /** A view of `n` bytes of a segment. */
  view({ node, chunk }: Segment, at: number, n: number): Buffer {
    if (node === NO_NODE) return viewOf(chunk.buffer, chunk.byteOffset + at, n)
    return viewOf(this.#buffers[node >> CHUNK_SHIFT] as ArrayBuffer, at, n)
  }

  /** Gives one lease on a node back. */
  release(node: number): void {
    if (node === this.#node) {
      this.#change--
    } else {
      this.#note(node, -1)
    }
  }

  /** Takes one more lease on a node that is leased already. */
  retain(node: number): void {
    if (node === this.#node) {
      this.#change++
    } else {
      this.#note(node, 1)
    }
  }

  /** Writes what was noted where the next exchange finds it. */
  settle(): void {
    if (this.#change !== 0) {
      if (this.#changeCount === LEASE_CHANGES) {
        // The list is full: it is carried over at once.
        this.#control[CONTROL_LEASE_CHANGES] = this.#changeCount
        this.#changeCount = 0
        this.#exchange()
      }
      this.#changes[this.#changeCount * 2] = this.#node
      this.#changes[this.#changeCount * 2 + 1] = this.#change
      this.#changeCount++
      this.#change = 0
    }
    this.#node = NO_NODE
    this.#control[CONTROL_LEASE_CHANGES] = this.#changeCount
  }

  /** The exchange has carried everything over. */
  settled(): void {
    this.#changeCount = 0
  }

  /**
   * Reserves room to write into: at the end of `last` if that is possible, so that pieces written
   * one after another become one, else as a segment of its own.
   */
  reserve(bytes: number, last: Segment | undefined): Segment {
    if (bytes > WRITE_NODE_BYTES) return this.#reserveLarge(bytes)
    const open = this.#openNode(bytes)
    const start = open.at
    open.at += bytes
    if (last !== undefined && last.node === open.node && last.end === start) {
      last.end = open.at
      return last
    }
    open.leases--
    return new Segment(open.node, open.chunk, start, open.at)
  }

  /** Bytes that `reserve` gives without taking another node. */
  get room(): number {
    const open = this.#writeNode
    return open === undefined ? 0 : open.end - open.at
  }

  /** Sees to it that `reserve` gives so many bytes without taking another node. */
  prepare(bytes: number): void {
    this.#openNode(Math.min(bytes, WRITE_NODE_BYTES))
  }

  /**
   * Room for input in one piece, with the only lease on its node. With `beyond` it may come from
   * one chunk that the arena gets in addition to its limit: such chunks are never divided, so that
   * it remains for this. `undefined` if there is none.
   */
  leaseRoom(bytes: number, beyond: boolean): Segment | undefined {
    // While memory is short, what would do for all sockets is a sign that it no longer is.
    const leased = this.#tryLease(this.isShort ? Math.max(bytes, WRITE_NODE_BYTES) : bytes, true)
    if (leased !== undefined) this.isShort = false
    const room = leased ?? (beyond ? this.#leaseBeyond(bytes) : undefined)
    if (room === undefined) return undefined
    room.leases--
    this.#drop(room)
    return new Segment(room.node, room.chunk, room.at, room.at + bytes)
  }

  /** Takes the last `bytes` off a segment; the node gets them back if they are its latest ones. */
  unreserve(segment: Segment, bytes: number): void {
    const open = this.#writeNode
    const isLatest = open?.node === segment.node && open.at === segment.end
    segment.end -= bytes
    if (isLatest) open.at = segment.end
  }

  #openNode(bytes: number): WriteNode {
    const open = this.#writeNode
    if (open !== undefined && open.end - open.at >= bytes) return open
    this.#writeNode = undefined
    if (open !== undefined) this.#drop(open)
    return (this.#writeNode = this.#lease(WRITE_NODE_BYTES))
  }

  /** A large piece gets a node of its own; the open one stays for the small ones. */
  #reserveLarge(bytes: number): Segment {
    const own = this.#lease(bytes)
    own.leases--
    this.#drop(own)
    return new Segment(own.node, own.chunk, own.at, own.at + bytes)
  }

  #lease(bytes: number): WriteNode {
    const leased = this.#tryLease(bytes, false)
    if (leased !== undefined) return leased
    throw failure('ERR_NODEPOLL_WRITE_LIMIT', 'memoryMax leaves no room for output')
  }

  #tryLease(bytes: number, isForInput: boolean): WriteNode | undefined {
    for (;;) {
      const leased = this.#leaseFree(bytes, isForInput)
      if (leased !== undefined) return leased
      // A poller may be quicker to use what is granted, so that one chunk is not always enough.
      if (!this.grant(chunkBytesFor(bytes)) && !this.grant(toGranules(bytes))) return undefined
    }
  }

  #leaseBeyond(bytes: number): WriteNode | undefined {
    const extra = extraBytes(this.#max)
    const oversize = Math.max(bytes, CHUNK_BYTES + 1)
    const leased = this.#leaseFree(oversize, false)
    if (leased !== undefined || !this.grant(extra, this.#max + extra)) return leased
    return this.#leaseFree(oversize, false)
  }

  #leaseFree(bytes: number, isForInput: boolean): WriteNode | undefined {
    const leased = this.#native.leaseNode(bytes, isForInput)
    if (leased === null) return undefined
    const [node = NO_NODE, at = 0, length = 0] = leased
    return { node, chunk: this.chunkOf(node), at, end: at + length, leases: length }
  }

  /** Gives the leases that no segment has taken back. */
  #drop(open: WriteNode): void {
    this.#note(open.node, -open.leases)
  }

  #note(node: number, change: number): void {
    this.settle()
    this.#schedule()
    this.#node = node
    this.#change = change
  }
}

/** Bytes that an arena may have beyond its limit, for one read that waits. */
export function extraBytes(max: number): number {
  return toGranules(Math.max(Math.min(max / WAIT_PART, PIECE_BYTES_MAX), CHUNK_BYTES + 1))
}

/** Bytes of the chunk in which a node of so many bytes will lie. Long ones are of few lengths. */
function chunkBytesFor(bytes: number): number {
  return Math.max(CHUNK_BYTES, 2 ** Math.ceil(Math.log2(bytes)))
}

function toGranules(bytes: number): number {
  return Math.ceil(bytes / GRANULE_BYTES) * GRANULE_BYTES
}
