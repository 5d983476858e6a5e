import type { Take } from './waiting-read.ts'

/**
 * Reading numbers, each call waiting until enough bytes have arrived. `BE` is network order, `LE`
 * the other; `read…` consumes, `peek…` looks `offset` bytes ahead and consumes nothing.
 */
export abstract class WaitingNumberReads {
  /** Waits for `n` bytes beyond `offset` and takes what is wanted of them. @internal */
  abstract _read<T>(n: number, take: Take<T>, offset?: number): Promise<T>

  /** Waits for a byte and consumes it: a number from 0 to 255. */
  readByte(): Promise<number> {
    return this.readUInt8()
  }

  /** Waits for a byte and consumes it: an unsigned 8-bit integer. */
  readUInt8(): Promise<number> {
    return this._read(1, (input) => input.readUInt8())
  }

  /** Waits for an unsigned 8-bit integer, `offset` bytes from here. */
  peekUInt8(offset = 0): Promise<number> {
    return this._read(1, (input, _, at) => input.peekUInt8(at), offset)
  }

  /** Waits for a byte and consumes it: a signed 8-bit integer. */
  readInt8(): Promise<number> {
    return this._read(1, (input) => input.readInt8())
  }

  /** Waits for a signed 8-bit integer, `offset` bytes from here. */
  peekInt8(offset = 0): Promise<number> {
    return this._read(1, (input, _, at) => input.peekInt8(at), offset)
  }

  /** Waits for 2 bytes and consumes them: an unsigned 16-bit integer, big endian. */
  readUInt16BE(): Promise<number> {
    return this._read(2, (input) => input.readUInt16BE())
  }

  /** Waits for an unsigned 16-bit integer, big endian, `offset` bytes from here. */
  peekUInt16BE(offset = 0): Promise<number> {
    return this._read(2, (input, _, at) => input.peekUInt16BE(at), offset)
  }

  /** Waits for 2 bytes and consumes them: an unsigned 16-bit integer, little endian. */
  readUInt16LE(): Promise<number> {
    return this._read(2, (input) => input.readUInt16LE())
  }

  /** Waits for an unsigned 16-bit integer, little endian, `offset` bytes from here. */
  peekUInt16LE(offset = 0): Promise<number> {
    return this._read(2, (input, _, at) => input.peekUInt16LE(at), offset)
  }

  /** Waits for 2 bytes and consumes them: a signed 16-bit integer, big endian. */
  readInt16BE(): Promise<number> {
    return this._read(2, (input) => input.readInt16BE())
  }

  /** Waits for a signed 16-bit integer, big endian, `offset` bytes from here. */
  peekInt16BE(offset = 0): Promise<number> {
    return this._read(2, (input, _, at) => input.peekInt16BE(at), offset)
  }

  /** Waits for 2 bytes and consumes them: a signed 16-bit integer, little endian. */
  readInt16LE(): Promise<number> {
    return this._read(2, (input) => input.readInt16LE())
  }

  /** Waits for a signed 16-bit integer, little endian, `offset` bytes from here. */
  peekInt16LE(offset = 0): Promise<number> {
    return this._read(2, (input, _, at) => input.peekInt16LE(at), offset)
  }

  /** Waits for 4 bytes and consumes them: an unsigned 32-bit integer, big endian. */
  readUInt32BE(): Promise<number> {
    return this._read(4, (input) => input.readUInt32BE())
  }

  /** Waits for an unsigned 32-bit integer, big endian, `offset` bytes from here. */
  peekUInt32BE(offset = 0): Promise<number> {
    return this._read(4, (input, _, at) => input.peekUInt32BE(at), offset)
  }

  /** Waits for 4 bytes and consumes them: an unsigned 32-bit integer, little endian. */
  readUInt32LE(): Promise<number> {
    return this._read(4, (input) => input.readUInt32LE())
  }

  /** Waits for an unsigned 32-bit integer, little endian, `offset` bytes from here. */
  peekUInt32LE(offset = 0): Promise<number> {
    return this._read(4, (input, _, at) => input.peekUInt32LE(at), offset)
  }

  /** Waits for 4 bytes and consumes them: a signed 32-bit integer, big endian. */
  readInt32BE(): Promise<number> {
    return this._read(4, (input) => input.readInt32BE())
  }

  /** Waits for a signed 32-bit integer, big endian, `offset` bytes from here. */
  peekInt32BE(offset = 0): Promise<number> {
    return this._read(4, (input, _, at) => input.peekInt32BE(at), offset)
  }

  /** Waits for 4 bytes and consumes them: a signed 32-bit integer, little endian. */
  readInt32LE(): Promise<number> {
    return this._read(4, (input) => input.readInt32LE())
  }

  /** Waits for a signed 32-bit integer, little endian, `offset` bytes from here. */
  peekInt32LE(offset = 0): Promise<number> {
    return this._read(4, (input, _, at) => input.peekInt32LE(at), offset)
  }

  /** Waits for 8 bytes and consumes them: an unsigned 64-bit integer, big endian. */
  readBigUInt64BE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigUInt64BE())
  }

  /** Waits for an unsigned 64-bit integer, big endian, `offset` bytes from here. */
  peekBigUInt64BE(offset = 0): Promise<bigint> {
    return this._read(8, (input, _, at) => input.peekBigUInt64BE(at), offset)
  }

  /** Waits for 8 bytes and consumes them: an unsigned 64-bit integer, little endian. */
  readBigUInt64LE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigUInt64LE())
  }

  /** Waits for an unsigned 64-bit integer, little endian, `offset` bytes from here. */
  peekBigUInt64LE(offset = 0): Promise<bigint> {
    return this._read(8, (input, _, at) => input.peekBigUInt64LE(at), offset)
  }

  /** Waits for 8 bytes and consumes them: a signed 64-bit integer, big endian. */
  readBigInt64BE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigInt64BE())
  }

  /** Waits for a signed 64-bit integer, big endian, `offset` bytes from here. */
  peekBigInt64BE(offset = 0): Promise<bigint> {
    return this._read(8, (input, _, at) => input.peekBigInt64BE(at), offset)
  }

  /** Waits for 8 bytes and consumes them: a signed 64-bit integer, little endian. */
  readBigInt64LE(): Promise<bigint> {
    return this._read(8, (input) => input.readBigInt64LE())
  }

  /** Waits for a signed 64-bit integer, little endian, `offset` bytes from here. */
  peekBigInt64LE(offset = 0): Promise<bigint> {
    return this._read(8, (input, _, at) => input.peekBigInt64LE(at), offset)
  }

  /** Waits for 4 bytes and consumes them: a 32-bit float, big endian. */
  readFloatBE(): Promise<number> {
    return this._read(4, (input) => input.readFloatBE())
  }

  /** Waits for a 32-bit float, big endian, `offset` bytes from here. */
  peekFloatBE(offset = 0): Promise<number> {
    return this._read(4, (input, _, at) => input.peekFloatBE(at), offset)
  }

  /** Waits for 4 bytes and consumes them: a 32-bit float, little endian. */
  readFloatLE(): Promise<number> {
    return this._read(4, (input) => input.readFloatLE())
  }

  /** Waits for a 32-bit float, little endian, `offset` bytes from here. */
  peekFloatLE(offset = 0): Promise<number> {
    return this._read(4, (input, _, at) => input.peekFloatLE(at), offset)
  }

  /** Waits for 8 bytes and consumes them: a 64-bit float, big endian. */
  readDoubleBE(): Promise<number> {
    return this._read(8, (input) => input.readDoubleBE())
  }

  /** Waits for a 64-bit float, big endian, `offset` bytes from here. */
  peekDoubleBE(offset = 0): Promise<number> {
    return this._read(8, (input, _, at) => input.peekDoubleBE(at), offset)
  }

  /** Waits for 8 bytes and consumes them: a 64-bit float, little endian. */
  readDoubleLE(): Promise<number> {
    return this._read(8, (input) => input.readDoubleLE())
  }

  /** Waits for a 64-bit float, little endian, `offset` bytes from here. */
  peekDoubleLE(offset = 0): Promise<number> {
    return this._read(8, (input, _, at) => input.peekDoubleLE(at), offset)
  }
}
