// Frames of 1 KiB behind a length of 4 bytes, out of a stream that arrives in pieces: what all
// calls come to in a server. Every 64th frame lies in two pieces.
import { BufferList } from 'bl'
import { LinkBuffer } from 'nodepoll'

import { ends, offsets, piece, PIECE_BYTES, sum } from './sample.mjs'

const PIECES = 16
const PAYLOAD_BYTES = 1024
const FRAME_BYTES = 4 + PAYLOAD_BYTES

/** Frames with payloads that begin and end in different ways; the last one is not complete. */
function makeStream() {
  const stream = Buffer.alloc(PIECES * PIECE_BYTES)
  for (let at = 0, frame = 0; at < stream.length; at += FRAME_BYTES, frame += 1) {
    stream.writeUInt32BE(PAYLOAD_BYTES, at)
    piece.copy(stream, at + 4, frame, frame + PAYLOAD_BYTES)
  }
  return stream
}

const stream = makeStream()
const pieces = offsets(stream.length, PIECE_BYTES).map((at) =>
  stream.subarray(at, at + PIECE_BYTES),
)
const frames = offsets(stream.length, FRAME_BYTES)

/** Each piece is appended, as the loop appends what has arrived, and released when it is read. */
function parseLinkBuffer(arrived) {
  const input = new LinkBuffer()
  let total = 0
  for (const source of arrived) {
    input.append(source).flush()
    while (input.length >= 4) {
      const bytes = input.peekUInt32BE()
      if (input.length < 4 + bytes) break
      input.skip(4)
      total += ends(input.next(bytes))
    }
    input.release()
  }
  input.close()
  return total
}

function parseBuffers() {
  let total = 0
  let held = Buffer.alloc(0)
  for (const one of pieces) {
    held = held.length === 0 ? one : Buffer.concat([held, one])
    let at = 0
    while (held.length - at >= 4) {
      const end = at + 4 + held.readUInt32BE(at)
      if (held.length < end) break
      total += ends(held.subarray(at + 4, end))
      at = end
    }
    held = held.subarray(at)
  }
  return total
}

function parseBufferList() {
  let total = 0
  const input = new BufferList()
  for (const one of pieces) {
    input.append(one)
    while (input.length >= 4) {
      const end = 4 + input.readUInt32BE(0)
      if (input.length < end) break
      total += ends(input.slice(4, end))
      input.consume(end)
    }
  }
  return total
}

const sources = pieces.map(() => new LinkBuffer())

export const framing = [
  {
    name: 'a frame of 1 KiB, pieces of 64 KiB',
    target: 'Buffer / nodepoll >= 3',
    count: frames.length,
    expected: sum(frames.map((at) => ends(stream.subarray(at + 4, at + FRAME_BYTES)))),
    candidates: {
      nodepoll: {
        prepare() {
          for (const [index, source] of sources.entries()) source.writeBinary(pieces[index]).flush()
          return sources
        },
        run: parseLinkBuffer,
      },
      Buffer: { prepare() {}, run: parseBuffers },
      bl: { prepare() {}, run: parseBufferList },
    },
  },
]
