import type { Chain } from './chain.ts'
import type { Segment } from './segment.ts'

/** Finds bytes, or one byte, in what is unread, `from` bytes from here; −1 if there are none. */
export function indexOf(chain: Chain, wanted: number | Uint8Array, from: number): number {
  if (from + lengthOf(wanted) > chain.length) return -1
  const { segment: first, skip } = chain.find(from)
  let segment: Segment | undefined = first
  let at = first.at + skip
  let position = from
  while (segment !== undefined) {
    const { end } = segment
    const bytes = chain.memory.view(segment, at, end - at)
    const inside = bytes.indexOf(wanted)
    if (inside >= 0) return position + inside
    if (typeof wanted !== 'number') {
      const across = beginningOf(segment, at, wanted)
      if (across >= 0) return position + across
    }
    position += end - at
    segment = segment.next
    at = segment?.at ?? 0
  }
  return -1
}

export function lengthOf(wanted: number | Uint8Array): number {
  return typeof wanted === 'number' ? 1 : wanted.length
}

/** Where in a segment, counted from `at`, bytes begin that end in a later one. */
function beginningOf(segment: Segment, at: number, wanted: Uint8Array): number {
  const length = segment.end - at
  for (let start = Math.max(0, length - wanted.length + 1); start < length; start++) {
    if (continues(segment, at + start, wanted)) return start
  }
  return -1
}

function continues(first: Segment, from: number, wanted: Uint8Array): boolean {
  let segment: Segment | undefined = first
  let at = from
  for (const byte of wanted) {
    while (segment !== undefined && at === segment.end) {
      segment = segment.next
      at = segment?.at ?? 0
    }
    if (segment === undefined || segment.chunk[at] !== byte) return false
    at++
  }
  return true
}
