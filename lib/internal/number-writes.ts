import { invalidArgType, outOfRange } from '../errors.ts'

/** The memory in which room was reserved last. It is filled before anything else is reserved. */
let target: Buffer = Buffer.alloc(0)

/** For `_reserve`: there is room at `at` in `memory`. */
export function roomIn(memory: Buffer, at: number): number {
  target = memory
  return at
}

/**
 * Writing numbers, for everything that has a writing end. `BE` is network order, `LE` the other.
 *
 * Each call throws `ERR_OUT_OF_RANGE` for a value that does not fit, and `ERR_INVALID_ARG_TYPE` for
 * one of the wrong type; then nothing is written. No view is made.
 */
export abstract class NumberWrites {
  /** Reserves room for `bytes` bytes: what `roomIn` has returned. @internal */
  abstract _reserve(bytes: number): number

  /** Writes a byte, a number from 0 to 255. */
  writeByte(value: number): this {
    return this.writeUInt8(value)
  }

  /** Writes a byte: an unsigned 8-bit integer. */
  writeUInt8(value: number): this {
    checkRange(value, 0, 0xff)
    const at = this._reserve(1)
    target[at] = value
    return this
  }

  /** Writes a byte: a signed 8-bit integer. */
  writeInt8(value: number): this {
    checkRange(value, -0x80, 0x7f)
    const at = this._reserve(1)
    target[at] = value
    return this
  }

  /** Writes 2 bytes: an unsigned 16-bit integer, big endian. */
  writeUInt16BE(value: number): this {
    checkRange(value, 0, 0xffff)
    return this._write16BE(value)
  }

  /** Writes 2 bytes: an unsigned 16-bit integer, little endian. */
  writeUInt16LE(value: number): this {
    checkRange(value, 0, 0xffff)
    return this._write16LE(value)
  }

  /** Writes 2 bytes: a signed 16-bit integer, big endian. */
  writeInt16BE(value: number): this {
    checkRange(value, -0x8000, 0x7fff)
    return this._write16BE(value)
  }

  /** Writes 2 bytes: a signed 16-bit integer, little endian. */
  writeInt16LE(value: number): this {
    checkRange(value, -0x8000, 0x7fff)
    return this._write16LE(value)
  }

  /** Writes 4 bytes: an unsigned 32-bit integer, big endian. */
  writeUInt32BE(value: number): this {
    checkRange(value, 0, 0xffff_ffff)
    return this._write32BE(value)
  }

  /** Writes 4 bytes: an unsigned 32-bit integer, little endian. */
  writeUInt32LE(value: number): this {
    checkRange(value, 0, 0xffff_ffff)
    return this._write32LE(value)
  }

  /** Writes 4 bytes: a signed 32-bit integer, big endian. */
  writeInt32BE(value: number): this {
    checkRange(value, -0x8000_0000, 0x7fff_ffff)
    return this._write32BE(value)
  }

  /** Writes 4 bytes: a signed 32-bit integer, little endian. */
  writeInt32LE(value: number): this {
    checkRange(value, -0x8000_0000, 0x7fff_ffff)
    return this._write32LE(value)
  }

  /** Writes 8 bytes: an unsigned 64-bit integer, big endian. */
  writeBigUInt64BE(value: bigint): this {
    checkBigInt(value, BigInt.asUintN)
    const at = this._reserve(8)
    target.writeBigUInt64BE(value, at)
    return this
  }

  /** Writes 8 bytes: an unsigned 64-bit integer, little endian. */
  writeBigUInt64LE(value: bigint): this {
    checkBigInt(value, BigInt.asUintN)
    const at = this._reserve(8)
    target.writeBigUInt64LE(value, at)
    return this
  }

  /** Writes 8 bytes: a signed 64-bit integer, big endian. */
  writeBigInt64BE(value: bigint): this {
    checkBigInt(value, BigInt.asIntN)
    const at = this._reserve(8)
    target.writeBigInt64BE(value, at)
    return this
  }

  /** Writes 8 bytes: a signed 64-bit integer, little endian. */
  writeBigInt64LE(value: bigint): this {
    checkBigInt(value, BigInt.asIntN)
    const at = this._reserve(8)
    target.writeBigInt64LE(value, at)
    return this
  }

  /** Writes 4 bytes: a 32-bit float, big endian. */
  writeFloatBE(value: number): this {
    checkNumber(value)
    const at = this._reserve(4)
    target.writeFloatBE(value, at)
    return this
  }

  /** Writes 4 bytes: a 32-bit float, little endian. */
  writeFloatLE(value: number): this {
    checkNumber(value)
    const at = this._reserve(4)
    target.writeFloatLE(value, at)
    return this
  }

  /** Writes 8 bytes: a 64-bit float, big endian. */
  writeDoubleBE(value: number): this {
    checkNumber(value)
    const at = this._reserve(8)
    target.writeDoubleBE(value, at)
    return this
  }

  /** Writes 8 bytes: a 64-bit float, little endian. */
  writeDoubleLE(value: number): this {
    checkNumber(value)
    const at = this._reserve(8)
    target.writeDoubleLE(value, at)
    return this
  }

  // A byte of a typed array takes the lowest eight bits of what it is given.

  private _write16BE(value: number): this {
    const at = this._reserve(2)
    target[at] = value >> 8
    target[at + 1] = value
    return this
  }

  private _write16LE(value: number): this {
    const at = this._reserve(2)
    target[at] = value
    target[at + 1] = value >> 8
    return this
  }

  private _write32BE(value: number): this {
    const at = this._reserve(4)
    target[at] = value >> 24
    target[at + 1] = value >> 16
    target[at + 2] = value >> 8
    target[at + 3] = value
    return this
  }

  private _write32LE(value: number): this {
    const at = this._reserve(4)
    target[at] = value
    target[at + 1] = value >> 8
    target[at + 2] = value >> 16
    target[at + 3] = value >> 24
    return this
  }
}

function checkNumber(value: number): void {
  if (typeof value !== 'number') throw invalidArgType('value', 'of type number', value)
}

function checkRange(value: number, min: number, max: number): void {
  checkNumber(value)
  if (!(value >= min && value <= max && Number.isInteger(value))) {
    throw outOfRange('value', `an integer >= ${min} and <= ${max}`, value)
  }
}

function checkBigInt(value: bigint, wrap: (bits: number, value: bigint) => bigint): void {
  if (typeof value !== 'bigint') throw invalidArgType('value', 'of type bigint', value)
  if (wrap(64, value) !== value) throw outOfRange('value', 'a 64-bit integer', value)
}
