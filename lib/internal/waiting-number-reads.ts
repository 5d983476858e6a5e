import type { LinkBuffer } from '../link-buffer.ts'

/**
 * Reading numbers, each call waiting until enough bytes have arrived. `BE` is network order, `LE`
 * the other; `read…` consumes, `peek…` looks `offset` bytes ahead and consumes nothing.
 */
export abstract class WaitingNumberReads {
  /** Waits for `n` bytes beyond `offset` and takes what is wanted of them. @internal */
  abstract _read<T>(n: number, take: (input: LinkBuffer) => T, offset?: number): Promise<T>

  readByte(): Promise<number> {
    return this.readUInt8()
  }

  readUInt8(): Promise<number> {
    return this._read(1, (input) => input.readUInt8())
  }

  peekUInt8(offset = 0): Promise<number> {
    return this._read(1, (input) => input.peekUInt8(offset), offset)
  }

  readInt8(): Promise<number> {
    return this._read(1, (input) => input.readInt8())
  }

  peekInt8(offset = 0): Promise<number> {
    return this._read(1, (input) => input.peekInt8(offset), offset)
  }

  readUInt16BE(): Promise<number> {
    return this._read(2, (input) => input.readUInt16BE())
  }

  peekUInt16BE(offset = 0): Promise<number> {
    return this._read(2, (input) => input.peekUInt16BE(offset), offset)
  }

  readUInt16LE(): Promise<number> {
    return this._read(2, (input) => input.readUInt16LE())
  }

  peekUInt16LE(offset = 0): Promise<number> {
    return this._read(2, (input) => input.peekUInt16LE(offset), offset)
  }

  readInt16BE(): Promise<number> {
    return this._read(2, (input) => input.readInt16BE())
  }

  peekInt16BE(offset = 0): Promise<number> {
    return this._read(2, (input) => input.peekInt16BE(offset), offset)
  }

  readInt16LE(): Promise<number> {
    return this._read(2, (input) => input.readInt16LE())
  }

  peekInt16LE(offset = 0): Promise<number> {
    return this._read(2, (input) => input.peekInt16LE(offset), offset)
  }

  readUInt32BE(): Promise<number> {
    return this._read(4, (input) => input.readUInt32BE())
  }

  peekUInt32BE(offset = 0): Promise<number> {
    return this._read(4, (input) => input.peekUInt32BE(offset), offset)
  }

  readUInt32LE(): Promise<number> {
    return this._read(4, (input) => input.readUInt32LE())
  }

  peekUInt32LE(offset = 0): Promise<number> {
    return this._read(4, (input) => input.peekUInt32LE(offset), offset)
  }

  readInt32BE(): Promise<number> {
    return this._read(4, (input) => input.readInt32BE())
  }

  peekInt32BE(offset = 0): Promise<number> {
    return this._read(4, (input) => input.peekInt32BE(offset), offset)
  }

  readInt32LE(): Promise<number> {
    return this._read(4, (input) => input.readInt32LE())
  }

  peekInt32LE(offset = 0): Promise<number> {
    return this._read(4, (input) => input.peekInt32LE(offset), offset)
  }

  readBigUInt64BE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigUInt64BE())
  }

  peekBigUInt64BE(offset = 0): Promise<bigint> {
    return this._read(8, (input) => input.peekBigUInt64BE(offset), offset)
  }

  readBigUInt64LE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigUInt64LE())
  }

  peekBigUInt64LE(offset = 0): Promise<bigint> {
    return this._read(8, (input) => input.peekBigUInt64LE(offset), offset)
  }

  readBigInt64BE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigInt64BE())
  }

  peekBigInt64BE(offset = 0): Promise<bigint> {
    return this._read(8, (input) => input.peekBigInt64BE(offset), offset)
  }

  readBigInt64LE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigInt64LE())
  }

  peekBigInt64LE(offset = 0): Promise<bigint> {
    return this._read(8, (input) => input.peekBigInt64LE(offset), offset)
  }

  readFloatBE(): Promise<number> {
    return this._read(4, (input) => input.readFloatBE())
  }

  peekFloatBE(offset = 0): Promise<number> {
    return this._read(4, (input) => input.peekFloatBE(offset), offset)
  }

  readFloatLE(): Promise<number> {
    return this._read(4, (input) => input.readFloatLE())
  }

  peekFloatLE(offset = 0): Promise<number> {
    return this._read(4, (input) => input.peekFloatLE(offset), offset)
  }

  readDoubleBE(): Promise<number> {
    return this._read(8, (input) => input.readDoubleBE())
  }

  peekDoubleBE(offset = 0): Promise<number> {
    return this._read(8, (input) => input.peekDoubleBE(offset), offset)
  }

  readDoubleLE(): Promise<number> {
    return this._read(8, (input) => input.readDoubleLE())
  }

  peekDoubleLE(offset = 0): Promise<number> {
    return this._read(8, (input) => input.peekDoubleLE(offset), offset)
  }
}
