import type { LinkBuffer } from '../link-buffer.ts'
import { CHUNK_BYTES_MAX, POOLED_BYTES_MIN } from './limits.ts'

/** The rest of the memory that chunks are copied into, one behind the other. */
let slab = Buffer.alloc(0)

/**
 * Consumes `n` bytes and gives a copy of them. `benchmark/stream-chunks.mjs` says why
 * a copy, and why into larger memory. A part that is kept holds no more than 64 KiB, as one of a
 * chunk of node:net does.
 */
export function takeChunk(input: LinkBuffer, n: number): Buffer {
  // Node has a pool for these.
  if (n < POOLED_BYTES_MIN) return input.readBinary(n)
  if (n > slab.length) slab = Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX)
  const chunk = slab.subarray(0, n)
  slab = slab.subarray(n)
  takeInto(input, chunk)
  return chunk
}

/** Consumes as many bytes as `target` has room for, and puts them there. They are there. */
export function takeInto(input: LinkBuffer, target: Uint8Array): void {
  let filled = 0
  for (const bytes of input.chunks()) {
    if (filled === target.length) break
    const part = bytes.subarray(0, target.length - filled)
    target.set(part, filled)
    filled += part.length
  }
  input.skip(target.length)
}
