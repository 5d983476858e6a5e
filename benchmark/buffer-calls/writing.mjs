// Calls that write, or take over, and what it costs to see the bytes afterwards.
import { BufferList } from 'bl'
import { LinkBuffer } from 'nodepoll'

import { ends, piece, PIECE_BYTES } from './sample.mjs'

export const writing = [writeUInt32BE(), writeBinary(), append()]

/** With Buffers the size is known before, and bl, which does not write, gets each number as one. */
function writeUInt32BE() {
  const own = new LinkBuffer()
  const flushes = 10
  const writes = 1000
  const bytes = writes * 4
  const last = 65_537 * (writes - 1)
  return {
    name: 'writeUInt32BE(), flush each 1,000',
    target: '<= 40 ns',
    count: flushes * writes,
    expected: flushes * last,
    candidates: {
      nodepoll: {
        prepare: () => own,
        run(output) {
          let total = 0
          for (let flush = 0; flush < flushes; flush += 1) {
            for (let index = 0; index < writes; index += 1) output.writeUInt32BE(65_537 * index)
            output.flush()
            total += output.peekUInt32BE(0) + output.peekUInt32BE(bytes - 4)
            output.skip(bytes)
            output.release()
          }
          return total
        },
      },
      Buffer: {
        prepare() {},
        run() {
          let total = 0
          for (let flush = 0; flush < flushes; flush += 1) {
            const output = Buffer.allocUnsafe(bytes)
            for (let index = 0; index < writes; index += 1) {
              output.writeUInt32BE(65_537 * index, index * 4)
            }
            total += output.readUInt32BE(0) + output.readUInt32BE(bytes - 4)
          }
          return total
        },
      },
      bl: {
        prepare: () => new BufferList(),
        run(output) {
          let total = 0
          for (let flush = 0; flush < flushes; flush += 1) {
            for (let index = 0; index < writes; index += 1) {
              const number = Buffer.allocUnsafe(4)
              number.writeUInt32BE(65_537 * index)
              output.append(number)
            }
            total += output.readUInt32BE(0) + output.readUInt32BE(bytes - 4)
            output.consume(bytes)
          }
          return total
        },
      },
    },
  }
}

/** Everybody copies: what was written is the caller's again. It is read after 64 KiB. */
function writeBinary() {
  const own = new LinkBuffer()
  const block = piece.subarray(0, 1024)
  const writes = PIECE_BYTES / block.length
  const rounds = 4
  return {
    name: 'writeBinary(1 KiB), flush',
    count: rounds * writes,
    expected: rounds * ends(block),
    candidates: {
      nodepoll: {
        prepare: () => own,
        run(output) {
          let total = 0
          for (let round = 0; round < rounds; round += 1) {
            for (let index = 0; index < writes; index += 1) output.writeBinary(block).flush()
            total += output.peekUInt8(0) * 256 + output.peekUInt8(PIECE_BYTES - 1)
            output.skip(PIECE_BYTES)
            output.release()
          }
          return total
        },
      },
      Buffer: {
        prepare() {},
        run() {
          let total = 0
          for (let round = 0; round < rounds; round += 1) {
            const output = []
            for (let index = 0; index < writes; index += 1) output.push(Buffer.from(block))
            total += output[0][0] * 256 + output[writes - 1][block.length - 1]
          }
          return total
        },
      },
      bl: {
        prepare: () => new BufferList(),
        run(output) {
          let total = 0
          for (let round = 0; round < rounds; round += 1) {
            for (let index = 0; index < writes; index += 1) output.append(Buffer.from(block))
            total += output.get(0) * 256 + output.get(PIECE_BYTES - 1)
            output.consume(PIECE_BYTES)
          }
          return total
        },
      },
    },
  }
}

/**
 * Pieces one after the other, each behind the last byte of the one before: it is usual that some of
 * a message is left when the next piece arrives.
 */
function append() {
  const count = 32
  const first = Buffer.of(7)
  const own = new LinkBuffer()
  const sources = Array.from({ length: count }, () => new LinkBuffer())
  return {
    name: 'append(64 KiB)',
    count,
    expected: first[0] + (count - 1) * piece[PIECE_BYTES - 1] + count * piece[PIECE_BYTES - 2],
    candidates: {
      nodepoll: {
        prepare() {
          for (const source of sources) source.writeBinary(piece).flush()
          own.close()
          own.writeBinary(first).flush()
          return own
        },
        run(held) {
          let total = 0
          for (const source of sources) {
            held.append(source).flush()
            total += held.peekUInt8(0) + held.peekUInt8(PIECE_BYTES - 1)
            held.skip(PIECE_BYTES)
            held.release()
          }
          return total
        },
      },
      Buffer: {
        prepare: () => first,
        run(before) {
          let total = 0
          let held = before
          for (let index = 0; index < count; index += 1) {
            held = Buffer.concat([held, piece])
            total += held[0] + held[PIECE_BYTES - 1]
            held = held.subarray(PIECE_BYTES)
          }
          return total
        },
      },
      bl: {
        prepare: () => new BufferList(first),
        run(held) {
          let total = 0
          for (let index = 0; index < count; index += 1) {
            held.append(piece)
            total += held.get(0) + held.get(PIECE_BYTES - 1)
            held.consume(PIECE_BYTES)
          }
          return total
        },
      },
    },
  }
}
