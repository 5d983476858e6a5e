import { invalidArgType, invalidArgValue, outOfRange, unknownEncoding } from '../errors.ts'

/** The options of a call, or an error that names the argument. */
export function checkObject<T extends object>(value: T, name: string): T {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw invalidArgType(name, 'an object', value)
}

export function checkInteger(value: unknown, name: string, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(name, `an integer >= ${min} and <= ${max}`, value)
  }
  return value
}

/** Milliseconds as timers take them. */
export function checkMillis(value: unknown, name: string): number {
  return checkInteger(value, name, 0, 2 ** 31 - 1)
}

export function checkOptionalMillis(value: unknown, name: string): number {
  return value === undefined ? 0 : checkMillis(value, name)
}

/** A point in time, as milliseconds since the epoch. */
export function checkTime(value: Date | number | null, name: string): number | null {
  if (value === null) return null
  const isDate = value instanceof Date
  if (!isDate && typeof value !== 'number') {
    throw invalidArgType(name, 'a Date, of type number or null', value)
  }
  const time = isDate ? value.getTime() : value
  if (!Number.isFinite(time)) throw outOfRange(name, 'a point in time', value)
  return time
}

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'of type boolean', value)
  return value
}

export function checkOptionalSignal(value: unknown, name: string): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw invalidArgType(name, 'an instance of AbortSignal', value)
}

export function checkOptionalInteger(
  value: unknown,
  name: string,
  min: number,
  max: number,
  fallback: number,
): number {
  return value === undefined ? fallback : checkInteger(value, name, min, max)
}

export function checkOptionalBoolean(value: unknown, name: string, fallback: boolean): boolean {
  return value === undefined ? fallback : checkBoolean(value, name)
}

export function checkOptionalString(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value)
  if (value.length === 0) throw invalidArgValue(name, value, 'must not be empty')
  return value
}

/** One of a few names. */
export function checkOneOf(value: unknown, name: string, names: readonly string[]): void {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value)
  if (names.includes(value)) return
  throw invalidArgValue(name, value, `must be one of ${names.map((one) => `'${one}'`).join(', ')}`)
}

export function checkOptionalFunction(value: unknown, name: string): void {
  if (value !== undefined) checkFunction(value, name)
}

export function checkFunction(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalidArgType(name, 'of type function', value)
}

/** A count of bytes: the one argument of most calls on buffers. */
export function checkCount(value: number, name = 'n'): void {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value)
  if (!Number.isSafeInteger(value) || value < 0) {
    throw outOfRange(name, 'a non-negative integer', value)
  }
}

export function checkEncoding(encoding: BufferEncoding): void {
  if (!Buffer.isEncoding(encoding)) throw unknownEncoding(encoding)
}

/** What is looked for: one byte is looked for as a number, which is quicker. */
export function checkDelimiter(delimiter: number | Uint8Array): number | Uint8Array {
  if (typeof delimiter === 'number') return checkInteger(delimiter, 'delimiter', 0, 0xff)
  if (!(delimiter instanceof Uint8Array)) {
    throw invalidArgType('delimiter', 'a number or an instance of Uint8Array', delimiter)
  }
  if (delimiter.length === 0) throw invalidArgValue('delimiter', delimiter, 'must not be empty')
  return delimiter.length === 1 ? (delimiter[0] as number) : delimiter
}
