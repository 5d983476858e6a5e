import { WritingEnd } from './writing-end.ts'

/** The memory in which a number was found last. It is read before anything else is looked for. */
let source: Buffer = Buffer.alloc(0)

/** For `_locate`: the bytes stand at `at` in `memory`. */
export function foundIn(memory: Buffer, at: number): number {
  source = memory
  return at
}

/**
 * Reading numbers, for what has a reading end beside its writing end. `BE` is network order, `LE`
 * the other.
 *
 * `read…` consumes, `peek…` looks `offset` bytes ahead and consumes nothing. Both work across
 * nodes, make no view and throw `ERR_NODEPOLL_SHORT_BUFFER` if there are too few bytes.
 */
export abstract class NumberReads extends WritingEnd {
  /** Finds `bytes` bytes, `offset` bytes from here: what `foundIn` has returned. @internal */
  abstract _locate(bytes: number, offset: number): number

  /** Consumes bytes that are there. @internal */
  abstract _advance(bytes: number): void

  /** Consumes a byte, a number from 0 to 255. */
  readByte(): number {
    return this.readUInt8()
  }

  /** The byte `offset` bytes from here, a number from 0 to 255. Consumes nothing. */
  peekByte(offset = 0): number {
    return this.peekUInt8(offset)
  }

  /** Consumes a byte: an unsigned 8-bit integer. */
  readUInt8(): number {
    const at = this._locate(1, 0)
    const value = source[at] as number
    this._advance(1)
    return value
  }

  /** An unsigned 8-bit integer, `offset` bytes from here. Consumes nothing. */
  peekUInt8(offset = 0): number {
    const at = this._locate(1, offset)
    return source[at] as number
  }

  /** Consumes a byte: a signed 8-bit integer. */
  readInt8(): number {
    const at = this._locate(1, 0)
    const value = ((source[at] as number) << 24) >> 24
    this._advance(1)
    return value
  }

  /** A signed 8-bit integer, `offset` bytes from here. Consumes nothing. */
  peekInt8(offset = 0): number {
    const at = this._locate(1, offset)
    return ((source[at] as number) << 24) >> 24
  }

  /** Consumes 2 bytes: an unsigned 16-bit integer, big endian. */
  readUInt16BE(): number {
    const at = this._locate(2, 0)
    const value = uint16BE(source, at)
    this._advance(2)
    return value
  }

  /** An unsigned 16-bit integer, big endian, `offset` bytes from here. Consumes nothing. */
  peekUInt16BE(offset = 0): number {
    const at = this._locate(2, offset)
    return uint16BE(source, at)
  }

  /** Consumes 2 bytes: an unsigned 16-bit integer, little endian. */
  readUInt16LE(): number {
    const at = this._locate(2, 0)
    const value = uint16LE(source, at)
    this._advance(2)
    return value
  }

  /** An unsigned 16-bit integer, little endian, `offset` bytes from here. Consumes nothing. */
  peekUInt16LE(offset = 0): number {
    const at = this._locate(2, offset)
    return uint16LE(source, at)
  }

  /** Consumes 2 bytes: a signed 16-bit integer, big endian. */
  readInt16BE(): number {
    const at = this._locate(2, 0)
    const value = (uint16BE(source, at) << 16) >> 16
    this._advance(2)
    return value
  }

  /** A signed 16-bit integer, big endian, `offset` bytes from here. Consumes nothing. */
  peekInt16BE(offset = 0): number {
    const at = this._locate(2, offset)
    return (uint16BE(source, at) << 16) >> 16
  }

  /** Consumes 2 bytes: a signed 16-bit integer, little endian. */
  readInt16LE(): number {
    const at = this._locate(2, 0)
    const value = (uint16LE(source, at) << 16) >> 16
    this._advance(2)
    return value
  }

  /** A signed 16-bit integer, little endian, `offset` bytes from here. Consumes nothing. */
  peekInt16LE(offset = 0): number {
    const at = this._locate(2, offset)
    return (uint16LE(source, at) << 16) >> 16
  }

  /** Consumes 4 bytes: an unsigned 32-bit integer, big endian. */
  readUInt32BE(): number {
    const at = this._locate(4, 0)
    const value = uint32BE(source, at)
    this._advance(4)
    return value
  }

  /** An unsigned 32-bit integer, big endian, `offset` bytes from here. Consumes nothing. */
  peekUInt32BE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32BE(source, at)
  }

  /** Consumes 4 bytes: an unsigned 32-bit integer, little endian. */
  readUInt32LE(): number {
    const at = this._locate(4, 0)
    const value = uint32LE(source, at)
    this._advance(4)
    return value
  }

  /** An unsigned 32-bit integer, little endian, `offset` bytes from here. Consumes nothing. */
  peekUInt32LE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32LE(source, at)
  }

  /** Consumes 4 bytes: a signed 32-bit integer, big endian. */
  readInt32BE(): number {
    const at = this._locate(4, 0)
    const value = uint32BE(source, at) | 0
    this._advance(4)
    return value
  }

  /** A signed 32-bit integer, big endian, `offset` bytes from here. Consumes nothing. */
  peekInt32BE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32BE(source, at) | 0
  }

  /** Consumes 4 bytes: a signed 32-bit integer, little endian. */
  readInt32LE(): number {
    const at = this._locate(4, 0)
    const value = uint32LE(source, at) | 0
    this._advance(4)
    return value
  }

  /** A signed 32-bit integer, little endian, `offset` bytes from here. Consumes nothing. */
  peekInt32LE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32LE(source, at) | 0
  }

  /** Consumes 8 bytes: an unsigned 64-bit integer, big endian. */
  readBigUInt64BE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigUInt64BE(at)
    this._advance(8)
    return value
  }

  /** An unsigned 64-bit integer, big endian, `offset` bytes from here. Consumes nothing. */
  peekBigUInt64BE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigUInt64BE(at)
  }

  /** Consumes 8 bytes: an unsigned 64-bit integer, little endian. */
  readBigUInt64LE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigUInt64LE(at)
    this._advance(8)
    return value
  }

  /** An unsigned 64-bit integer, little endian, `offset` bytes from here. Consumes nothing. */
  peekBigUInt64LE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigUInt64LE(at)
  }

  /** Consumes 8 bytes: a signed 64-bit integer, big endian. */
  readBigInt64BE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigInt64BE(at)
    this._advance(8)
    return value
  }

  /** A signed 64-bit integer, big endian, `offset` bytes from here. Consumes nothing. */
  peekBigInt64BE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigInt64BE(at)
  }

  /** Consumes 8 bytes: a signed 64-bit integer, little endian. */
  readBigInt64LE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigInt64LE(at)
    this._advance(8)
    return value
  }

  /** A signed 64-bit integer, little endian, `offset` bytes from here. Consumes nothing. */
  peekBigInt64LE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigInt64LE(at)
  }

  /** Consumes 4 bytes: a 32-bit float, big endian. */
  readFloatBE(): number {
    const at = this._locate(4, 0)
    const value = source.readFloatBE(at)
    this._advance(4)
    return value
  }

  /** A 32-bit float, big endian, `offset` bytes from here. Consumes nothing. */
  peekFloatBE(offset = 0): number {
    const at = this._locate(4, offset)
    return source.readFloatBE(at)
  }

  /** Consumes 4 bytes: a 32-bit float, little endian. */
  readFloatLE(): number {
    const at = this._locate(4, 0)
    const value = source.readFloatLE(at)
    this._advance(4)
    return value
  }

  /** A 32-bit float, little endian, `offset` bytes from here. Consumes nothing. */
  peekFloatLE(offset = 0): number {
    const at = this._locate(4, offset)
    return source.readFloatLE(at)
  }

  /** Consumes 8 bytes: a 64-bit float, big endian. */
  readDoubleBE(): number {
    const at = this._locate(8, 0)
    const value = source.readDoubleBE(at)
    this._advance(8)
    return value
  }

  /** A 64-bit float, big endian, `offset` bytes from here. Consumes nothing. */
  peekDoubleBE(offset = 0): number {
    const at = this._locate(8, offset)
    return source.readDoubleBE(at)
  }

  /** Consumes 8 bytes: a 64-bit float, little endian. */
  readDoubleLE(): number {
    const at = this._locate(8, 0)
    const value = source.readDoubleLE(at)
    this._advance(8)
    return value
  }

  /** A 64-bit float, little endian, `offset` bytes from here. Consumes nothing. */
  peekDoubleLE(offset = 0): number {
    const at = this._locate(8, offset)
    return source.readDoubleLE(at)
  }
}

// Written out, as the methods of Buffer check again what `_locate` has found, for 3 ns a call.

function uint16BE(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function uint16LE(bytes: Buffer, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
}

function uint32BE(bytes: Buffer, at: number): number {
  return ((uint16BE(bytes, at) << 16) | uint16BE(bytes, at + 2)) >>> 0
}

function uint32LE(bytes: Buffer, at: number): number {
  return (uint16LE(bytes, at) | (uint16LE(bytes, at + 2) << 16)) >>> 0
}
