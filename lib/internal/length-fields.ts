import type { LinkBuffer } from '../link-buffer.ts'
import type { Writer } from '../writer.ts'

/** How a length is read and written. */
export interface LengthField {
  peek(input: LinkBuffer, offset: number): number
  write(writer: Writer | LinkBuffer, length: number): void
  readonly max: number
}

/** A length field in either order of its bytes. */
interface LengthFields {
  readonly BE: LengthField
  readonly LE: LengthField
}

/**
 * The length fields of frames, by their bytes. A length that a number cannot hold exactly is over
 * any limit all the same.
 */
export const LENGTH_FIELDS: Record<number, LengthFields> = {
  1: both({
    peek: (input, offset) => input.peekUInt8(offset),
    write: (writer, length) => writer.writeUInt8(length),
    max: 0xff,
  }),
  2: {
    BE: {
      peek: (input, offset) => input.peekUInt16BE(offset),
      write: (writer, length) => writer.writeUInt16BE(length),
      max: 0xffff,
    },
    LE: {
      peek: (input, offset) => input.peekUInt16LE(offset),
      write: (writer, length) => writer.writeUInt16LE(length),
      max: 0xffff,
    },
  },
  4: {
    BE: {
      peek: (input, offset) => input.peekUInt32BE(offset),
      write: (writer, length) => writer.writeUInt32BE(length),
      max: 0xffff_ffff,
    },
    LE: {
      peek: (input, offset) => input.peekUInt32LE(offset),
      write: (writer, length) => writer.writeUInt32LE(length),
      max: 0xffff_ffff,
    },
  },
  8: {
    BE: {
      peek: (input, offset) => Number(input.peekBigUInt64BE(offset)),
      write: (writer, length) => writer.writeBigUInt64BE(BigInt(length)),
      max: Number.MAX_SAFE_INTEGER,
    },
    LE: {
      peek: (input, offset) => Number(input.peekBigUInt64LE(offset)),
      write: (writer, length) => writer.writeBigUInt64LE(BigInt(length)),
      max: Number.MAX_SAFE_INTEGER,
    },
  },
}

function both(field: LengthField): LengthFields {
  return { BE: field, LE: field }
}
