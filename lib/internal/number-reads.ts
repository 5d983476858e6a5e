import { WritingEnd } from './writing-end.ts'

const NOWHERE = Buffer.alloc(0)

/**
 * Reading numbers, for what has a reading end beside its writing end. `BE` is network order, `LE`
 * the other.
 *
 * `read…` consumes, `peek…` looks `offset` bytes ahead and consumes nothing. Both work across
 * nodes, make no view and throw `ERR_NODEPOLL_SHORT_BUFFER` if there are too few bytes.
 */
export abstract class NumberReads extends WritingEnd {
  /** The memory in which `_locate` has found the bytes. @internal */
  _source: Buffer = NOWHERE

  /** Finds `bytes` bytes, `offset` bytes from here: the place in `_source`. @internal */
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
    const value = this._source[at] as number
    this._advance(1)
    return value
  }

  peekUInt8(offset = 0): number {
    const at = this._locate(1, offset)
    return this._source[at] as number
  }

  readInt8(): number {
    const at = this._locate(1, 0)
    const value = ((this._source[at] as number) << 24) >> 24
    this._advance(1)
    return value
  }

  peekInt8(offset = 0): number {
    const at = this._locate(1, offset)
    return ((this._source[at] as number) << 24) >> 24
  }

  readUInt16BE(): number {
    const at = this._locate(2, 0)
    const value = this._source.readUInt16BE(at)
    this._advance(2)
    return value
  }

  peekUInt16BE(offset = 0): number {
    const at = this._locate(2, offset)
    return this._source.readUInt16BE(at)
  }

  readUInt16LE(): number {
    const at = this._locate(2, 0)
    const value = this._source.readUInt16LE(at)
    this._advance(2)
    return value
  }

  peekUInt16LE(offset = 0): number {
    const at = this._locate(2, offset)
    return this._source.readUInt16LE(at)
  }

  readInt16BE(): number {
    const at = this._locate(2, 0)
    const value = this._source.readInt16BE(at)
    this._advance(2)
    return value
  }

  peekInt16BE(offset = 0): number {
    const at = this._locate(2, offset)
    return this._source.readInt16BE(at)
  }

  readInt16LE(): number {
    const at = this._locate(2, 0)
    const value = this._source.readInt16LE(at)
    this._advance(2)
    return value
  }

  peekInt16LE(offset = 0): number {
    const at = this._locate(2, offset)
    return this._source.readInt16LE(at)
  }

  readUInt32BE(): number {
    const at = this._locate(4, 0)
    const value = this._source.readUInt32BE(at)
    this._advance(4)
    return value
  }

  peekUInt32BE(offset = 0): number {
    const at = this._locate(4, offset)
    return this._source.readUInt32BE(at)
  }

  readUInt32LE(): number {
    const at = this._locate(4, 0)
    const value = this._source.readUInt32LE(at)
    this._advance(4)
    return value
  }

  peekUInt32LE(offset = 0): number {
    const at = this._locate(4, offset)
    return this._source.readUInt32LE(at)
  }

  readInt32BE(): number {
    const at = this._locate(4, 0)
    const value = this._source.readInt32BE(at)
    this._advance(4)
    return value
  }

  peekInt32BE(offset = 0): number {
    const at = this._locate(4, offset)
    return this._source.readInt32BE(at)
  }

  readInt32LE(): number {
    const at = this._locate(4, 0)
    const value = this._source.readInt32LE(at)
    this._advance(4)
    return value
  }

  peekInt32LE(offset = 0): number {
    const at = this._locate(4, offset)
    return this._source.readInt32LE(at)
  }

  readBigUInt64BE(): bigint {
    const at = this._locate(8, 0)
    const value = this._source.readBigUInt64BE(at)
    this._advance(8)
    return value
  }

  peekBigUInt64BE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return this._source.readBigUInt64BE(at)
  }

  readBigUInt64LE(): bigint {
    const at = this._locate(8, 0)
    const value = this._source.readBigUInt64LE(at)
    this._advance(8)
    return value
  }

  peekBigUInt64LE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return this._source.readBigUInt64LE(at)
  }

  readBigInt64BE(): bigint {
    const at = this._locate(8, 0)
    const value = this._source.readBigInt64BE(at)
    this._advance(8)
    return value
  }

  peekBigInt64BE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return this._source.readBigInt64BE(at)
  }

  readBigInt64LE(): bigint {
    const at = this._locate(8, 0)
    const value = this._source.readBigInt64LE(at)
    this._advance(8)
    return value
  }

  peekBigInt64LE(offset = 0): bigint {
    const at = this._locate(8, offset)
    return this._source.readBigInt64LE(at)
  }

  readFloatBE(): number {
    const at = this._locate(4, 0)
    const value = this._source.readFloatBE(at)
    this._advance(4)
    return value
  }

  peekFloatBE(offset = 0): number {
    const at = this._locate(4, offset)
    return this._source.readFloatBE(at)
  }

  readFloatLE(): number {
    const at = this._locate(4, 0)
    const value = this._source.readFloatLE(at)
    this._advance(4)
    return value
  }

  peekFloatLE(offset = 0): number {
    const at = this._locate(4, offset)
    return this._source.readFloatLE(at)
  }

  readDoubleBE(): number {
    const at = this._locate(8, 0)
    const value = this._source.readDoubleBE(at)
    this._advance(8)
    return value
  }

  peekDoubleBE(offset = 0): number {
    const at = this._locate(8, offset)
    return this._source.readDoubleBE(at)
  }

  readDoubleLE(): number {
    const at = this._locate(8, 0)
    const value = this._source.readDoubleLE(at)
    this._advance(8)
    return value
  }

  peekDoubleLE(offset = 0): number {
    const at = this._locate(8, offset)
    return this._source.readDoubleLE(at)
  }
}
