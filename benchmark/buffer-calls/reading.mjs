// Calls that read what has arrived.
import { BufferList } from 'bl'
import { LinkBuffer } from 'nodepoll'

import { ends, offsets, piece, PIECE_BYTES, sum } from './sample.mjs'

const NEWLINE = 0x0a

export const reading = [readUInt32BE(), next(), peekAcross(), until(), slice()]

/** Candidates that read all of `pieces`, each of which lies in one node. */
function readers(pieces, runs) {
  const input = new LinkBuffer()
  const whole = Buffer.concat(pieces)
  return {
    nodepoll: {
      prepare() {
        input.close()
        for (const one of pieces) input.writeBinary(one)
        input.flush()
        if ([...input.chunks()].length !== pieces.length) throw new Error('pieces share nodes')
        return input
      },
      run: runs.nodepoll,
    },
    Buffer: { prepare: () => whole, run: runs.Buffer },
    bl: { prepare: () => new BufferList(pieces), run: runs.bl },
  }
}

function readUInt32BE() {
  const count = PIECE_BYTES / 4
  const view = new DataView(piece.buffer, piece.byteOffset)
  return {
    name: 'readUInt32BE()',
    target: '<= 15 ns',
    count,
    expected: sum(offsets(PIECE_BYTES, 4).map((at) => view.getUint32(at))),
    candidates: readers([piece], {
      nodepoll(input) {
        let total = 0
        for (let index = 0; index < count; index += 1) total += input.readUInt32BE()
        return total
      },
      Buffer(bytes) {
        let total = 0
        for (let at = 0; at < PIECE_BYTES; at += 4) total += bytes.readUInt32BE(at)
        return total
      },
      bl(list) {
        let total = 0
        for (let index = 0; index < count; index += 1) {
          total += list.readUInt32BE(0)
          list.consume(4)
        }
        return total
      },
    }),
  }
}

function next() {
  const count = PIECE_BYTES / 64
  return {
    name: 'next(64)',
    target: '<= 80 ns',
    count,
    expected: sum(offsets(PIECE_BYTES, 64).map((at) => piece[at] * 256 + piece[at + 63])),
    candidates: readers([piece], {
      nodepoll(input) {
        let total = 0
        for (let index = 0; index < count; index += 1) total += ends(input.next(64))
        return total
      },
      Buffer(bytes) {
        let total = 0
        for (let at = 0; at < PIECE_BYTES; at += 64) total += ends(bytes.subarray(at, at + 64))
        return total
      },
      bl(list) {
        let total = 0
        for (let index = 0; index < count; index += 1) {
          total += ends(list.slice(0, 64))
          list.consume(64)
        }
        return total
      },
    }),
  }
}

/** The Buffers have been concatenated before; the others find out how to see them as one. */
function peekAcross() {
  const count = 1000
  const at = PIECE_BYTES - 32
  return {
    name: 'peek(64) across two nodes, again',
    count,
    expected: count * (piece[at] * 256 + piece[31]),
    candidates: readers([piece, piece], {
      nodepoll(input) {
        let total = 0
        for (let index = 0; index < count; index += 1) total += ends(input.peek(64, at))
        return total
      },
      Buffer(bytes) {
        let total = 0
        for (let index = 0; index < count; index += 1) total += ends(bytes.subarray(at, at + 64))
        return total
      },
      bl(list) {
        let total = 0
        for (let index = 0; index < count; index += 1) total += ends(list.slice(at, at + 64))
        return total
      },
    }),
  }
}

function until() {
  const count = PIECE_BYTES / 64
  const lines = piece.map((byte, at) => (at % 64 === 63 ? NEWLINE : byte | 0x80))
  return {
    name: "until('\\n'), lines of 64 B",
    count,
    expected: sum(offsets(PIECE_BYTES, 64).map((at) => lines[at] * 256 + NEWLINE)),
    candidates: readers([lines], {
      nodepoll(input) {
        let total = 0
        for (;;) {
          const line = input.until(NEWLINE)
          if (line === undefined) return total
          total += ends(line)
        }
      },
      Buffer(bytes) {
        let total = 0
        let at = 0
        for (;;) {
          const found = bytes.indexOf(NEWLINE, at)
          if (found < 0) return total
          total += ends(bytes.subarray(at, found + 1))
          at = found + 1
        }
      },
      bl(list) {
        let total = 0
        for (;;) {
          const found = list.indexOf(NEWLINE)
          if (found < 0) return total
          total += ends(list.slice(0, found + 1))
          list.consume(found + 1)
        }
      },
    }),
  }
}

/** A slice of a LinkBuffer is closed, too: it would hold its memory until it is collected. */
function slice() {
  const count = PIECE_BYTES / 64
  return {
    name: 'slice(64)',
    count,
    expected: sum(offsets(PIECE_BYTES, 64).map((at) => piece[at] * 256 + piece[at + 63])),
    candidates: readers([piece], {
      nodepoll(input) {
        let total = 0
        for (let index = 0; index < count; index += 1) {
          const part = input.slice(64)
          total += part.peekUInt8(0) * 256 + part.peekUInt8(63)
          part.close()
        }
        return total
      },
      Buffer(bytes) {
        let total = 0
        for (let at = 0; at < PIECE_BYTES; at += 64) total += ends(bytes.subarray(at, at + 64))
        return total
      },
      bl(list) {
        let total = 0
        for (let index = 0; index < count; index += 1) {
          const part = list.shallowSlice(0, 64)
          total += part.get(0) * 256 + part.get(63)
          list.consume(64)
        }
        return total
      },
    }),
  }
}
