import type { Chain } from './chain.ts'
import type { Segment } from './segment.ts'

/** Finds `delimiter` in the unread bytes, `from` bytes from here; −1 if it is not there. */
export function indexOf(chain: Chain, delimiter: Uint8Array, from: number): number {
  if (from + delimiter.length > chain.length) return -1
  const { segment: first, skip } = chain.find(from)
  let segment: Segment | undefined = first
  let at = first.at + skip
  let position = from
  while (segment !== undefined) {
    const found = indexWithin(segment, at, delimiter)
    if (found >= 0) return position + found
    position += segment.end - at
    segment = segment.next
    at = segment?.at ?? 0
  }
  return -1
}

/** The first place in a segment at which the delimiter begins; it may end in a later one. */
function indexWithin(segment: Segment, at: number, delimiter: Uint8Array): number {
  const { chunk, end } = segment
  const bytes = Buffer.from(chunk.buffer as ArrayBuffer, chunk.byteOffset + at, end - at)
  const inside = bytes.indexOf(delimiter)
  if (inside >= 0) return inside
  // What begins in the last bytes goes on in the next segments.
  for (
    let start = Math.max(0, bytes.length - delimiter.length + 1);
    start < bytes.length;
    start++
  ) {
    if (continues(segment, at + start, delimiter)) return start
  }
  return -1
}

function continues(first: Segment, from: number, delimiter: Uint8Array): boolean {
  let segment: Segment | undefined = first
  let at = from
  for (const byte of delimiter) {
    while (segment !== undefined && at === segment.end) {
      segment = segment.next
      at = segment?.at ?? 0
    }
    if (segment === undefined || segment.chunk[at] !== byte) return false
    at++
  }
  return true
}
