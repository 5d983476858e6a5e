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

  readByte(): number {
    return this.readUInt8()
  }

  peekByte(offset = 0): number {
    return this.peekUInt8(offset)
  }

  readUInt8(): number {
    const at = this._locate(1, 0)
    const value = source[at] as number
    this._advance(1)
    return value
  }

  peekUInt8(offset = 0): number {
    const at = this._locate(1, offset)
    return source[at] as number
  }

  readInt8(): number {
    const at = this._locate(1, 0)
    const value = ((source[at] as number) << 24) >> 24
    this._advance(1)
    return value
  }

  peekInt8(offset = 0): number {
    const at = this._locate(1, offset)
    return ((source[at] as number) << 24) >> 24
  }

  readUInt16BE(): number {
    const at = this._locate(2, 0)
    const value = uint16BE(source, at)
    this._advance(2)
    return value
  }

  peekUInt16BE(offset = 0): number {
    const at = this._locate(2, offset)
    return uint16BE(source, at)
  }

  readUInt16LE(): number {
    const at = this._locate(2, 0)
    const value = uint16LE(source, at)
    this._advance(2)
    return value
  }

  peekUInt16LE(offset = 0): number {
    const at = this._locate(2, offset)
    return uint16LE(source, at)
  }

  readInt16BE(): number {
    const at = this._locate(2, 0)
    const value = (uint16BE(source, at) << 16) >> 16
    this._advance(2)
    return value
  }

  peekInt16BE(offset = 0): number {
    const at = this._locate(2, offset)
    return (uint16BE(source, at) << 16) >> 16
  }

  readInt16LE(): number {
    const at = this._locate(2, 0)
    const value = (uint16LE(source, at) << 16) >> 16
    this._advance(2)
    return value
  }

  peekInt16LE(offset = 0): number {
    const at = this._locate(2, offset)
    return (uint16LE(source, at) << 16) >> 16
  }

  readUInt32BE(): number {
    const at = this._locate(4, 0)
    const value = uint32BE(source, at)
    this._advance(4)
    return value
  }

  peekUInt32BE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32BE(source, at)
  }

  readUInt32LE(): number {
    const at = this._locate(4, 0)
    const value = uint32LE(source, at)
    this._advance(4)
    return value
  }

  peekUInt32LE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32LE(source, at)
  }

  readInt32BE(): number {
    const at = this._locate(4, 0)
    const value = uint32BE(source, at) | 0
    this._advance(4)
    return value
  }

  peekInt32BE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32BE(source, at) | 0
  }

  readInt32LE(): number {
    const at = this._locate(4, 0)
    const value = uint32LE(source, at) | 0
    this._advance(4)
    return value
  }

  peekInt32LE(offset = 0): number {
    const at = this._locate(4, offset)
    return uint32LE(source, at) | 0
  }

  readBigUInt64BE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigUInt64BE(at)
    this._advance(8)
    return value
  }

  peekBigUInt64BE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigUInt64BE(at)
  }

  readBigUInt64LE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigUInt64LE(at)
    this._advance(8)
    return value
  }

  peekBigUInt64LE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigUInt64LE(at)
  }

  readBigInt64BE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigInt64BE(at)
    this._advance(8)
    return value
  }

  peekBigInt64BE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigInt64BE(at)
  }

  readBigInt64LE(): bigint {
    const at = this._locate(8, 0)
    const value = source.readBigInt64LE(at)
    this._advance(8)
    return value
  }

  peekBigInt64LE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return source.readBigInt64LE(at)
  }

  readFloatBE(): number {
    const at = this._locate(4, 0)
    const value = source.readFloatBE(at)
    this._advance(4)
    return value
  }

  peekFloatBE(offset = 0): number {
    const at = this._locate(4, offset)
    return source.readFloatBE(at)
  }

  readFloatLE(): number {
    const at = this._locate(4, 0)
    const value = source.readFloatLE(at)
    this._advance(4)
    return value
  }

  peekFloatLE(offset = 0): number {
    const at = this._locate(4, offset)
    return source.readFloatLE(at)
  }

  readDoubleBE(): number {
    const at = this._locate(8, 0)
    const value = source.readDoubleBE(at)
    this._advance(8)
    return value
  }

  peekDoubleBE(offset = 0): number {
    const at = this._locate(8, offset)
    return source.readDoubleBE(at)
  }

  readDoubleLE(): number {
    const at = this._locate(8, 0)
    const value = source.readDoubleLE(at)
    this._advance(8)
    return value
  }

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
