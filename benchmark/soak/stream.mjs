// Bytes by which stream and position can be told: each stream begins at a place of its own in one
// table of random bytes, and goes on from there. Foreign, missing and swapped bytes are found.
import { Random } from './random.mjs'
import { violate } from './violation.mjs'

/** A prime, so that lengths of buffers and nodes do not divide it. */
const PERIOD = 1_048_573
/** So many bytes say where in the table they are from. */
const TRACE_BYTES = 12
/** Twice the period, so that up to a period of bytes lies in one piece. */
const table = fillTable()

/** Bytes that were found right, by all streams of this process. */
export const verified = { bytes: 0 }

export class Stream {
  position
  #start
  #label

  /** `label` says in messages whose bytes these are. */
  constructor(seed, label, position = 0) {
    this.#start = seed % PERIOD
    this.#label = label
    this.position = position
  }

  /** The next `n` bytes. They are shared: do not write into them. */
  take(n) {
    const bytes = n <= PERIOD ? this.#peek(n) : Buffer.concat([...this.#pieces(n)], n)
    this.position += n
    return bytes
  }

  /** The bytes must be the next ones. */
  check(bytes) {
    for (let at = 0; at < bytes.length; at += PERIOD) {
      const piece = bytes.subarray(at, at + PERIOD)
      const expected = this.#peek(piece.length)
      if (!expected.equals(piece)) this.#mismatch(expected, piece)
      this.position += piece.length
    }
    verified.bytes += bytes.length
  }

  #peek(n) {
    const at = (this.#start + this.position) % PERIOD
    return table.subarray(at, at + n)
  }

  *#pieces(n) {
    const ahead = new Stream(this.#start, this.#label, this.position)
    for (let left = n; left > 0; left -= PERIOD) yield ahead.take(Math.min(left, PERIOD))
  }

  #mismatch(expected, found) {
    const at = expected.findIndex((byte, index) => byte !== found[index])
    const trace = found.subarray(at, at + TRACE_BYTES)
    const origin = table.indexOf(trace)
    const shown = (bytes) => bytes.subarray(at, at + TRACE_BYTES).toString('hex')
    const guess =
      trace.length < TRACE_BYTES || origin < 0
        ? 'they are of no stream'
        : `if they are of this stream, they belong at ${this.#positionOf(origin)}`
    violate(
      `wrong bytes in ${this.#label} at position ${this.position + at}: ` +
        `${shown(found)} in place of ${shown(expected)} (${guess})`,
    )
  }

  #positionOf(origin) {
    return (origin - this.#start + 2 * PERIOD) % PERIOD
  }
}

function fillTable() {
  const random = new Random(1)
  const bytes = Buffer.allocUnsafe(2 * PERIOD)
  for (let at = 0; at < PERIOD; at++) bytes[at] = random.next() * 256
  bytes.copyWithin(PERIOD, 0, PERIOD)
  return bytes
}
