// The ways to read input, and the ways to send it back. All consume `n` bytes of it and compare
// them with `stream`.
import { LinkBuffer } from 'nodepoll'

import { checkChunks } from './parts.mjs'

const PIECE_MAX = 64 << 10

/** Ways to read. */
export const readings = {
  next: ({ input }, n, stream) => stream.check(input.next(n)),
  copy: ({ input }, n, stream) => stream.check(input.readBinary(n)),
  peek({ input }, n, stream) {
    const half = n >> 1
    const later = input.peek(n - half, half)
    stream.check(input.peek(half))
    stream.check(later)
    input.skip(n)
  },
  pieces({ input }, n, stream) {
    for (let left = n; left > 0; left -= PIECE_MAX) {
      stream.check(input.next(Math.min(left, PIECE_MAX)))
      input.release()
    }
  },
  slice({ input }, n, stream) {
    const slice = input.slice(n)
    checkChunks(slice, stream)
    slice.close()
  },
}

/** Ways to send back. */
export const answers = {
  /** Whatever is there: the client alone compares. */
  append({ input, writer }, n, stream) {
    if (n < input.length) return answers.slice({ input, writer }, n, stream)
    stream.position += n
    writer.append(input)
  },
  view({ input, writer }, n, stream) {
    const bytes = input.next(n)
    stream.check(bytes)
    writer.writeBinary(bytes)
  },
  copy({ input, writer }, n, stream) {
    const bytes = input.readBinary(n)
    stream.check(bytes)
    writer.writeBinary(bytes)
  },
  malloc({ input, writer }, n, stream) {
    const kept = writer.mallocLength + n
    const bytes = input.next(n)
    stream.check(bytes)
    writer.malloc(n + 7).set(bytes)
    writer.mallocAck(kept)
  },
  slice({ input, writer }, n, stream) {
    const slice = input.slice(n)
    checkChunks(slice, stream)
    writer.append(slice)
    slice.close()
  },
  /** What is written first is taken back. */
  takeBack({ input, writer }, n, stream) {
    const kept = writer.mallocLength
    const own = new LinkBuffer()
    own.writeBinary(input.peek(n)).flush()
    writer.append(own).mallocAck(kept + (n >> 1))
    writer.mallocAck(kept)
    own.close()
    answers.view({ input, writer }, n, stream)
  },
  own({ input, writer }, n, stream) {
    const own = new LinkBuffer(n >> 1)
    const slice = input.slice(n)
    checkChunks(slice, stream)
    own.writeBinary(slice.readBinary(n >> 1))
    own.append(slice).flush()
    slice.close()
    writer.append(own)
    own.close()
  },
  direct({ input, writer }, n, stream) {
    const first = input.readBinary(n >> 1)
    stream.check(first)
    const second = input.next(n - first.length)
    stream.check(second)
    writer.malloc(second.length).set(second)
    writer.writeDirect(first, second.length)
  },
  string({ input, writer }, n, stream) {
    const text = input.readString(n, 'latin1')
    stream.check(Buffer.from(text, 'latin1'))
    writer.writeString(text, 'latin1')
  },
  numbers({ input, writer }, n, stream) {
    const words = Math.min(n >> 2, 64)
    for (let count = 0; count < words; count++) {
      stream.check(input.peek(4))
      writer.writeUInt32BE(input.readUInt32BE())
    }
    if (n > words * 4) answers.copy({ input, writer }, n - words * 4, stream)
  },
}
