// Requests of the Redis protocol, RESP2, out of bytes: arrays of strings, and what people type.
const STAR = '*'.charCodeAt(0)
const CRLF = Buffer.from('\r\n')
const LINE_BYTES_MAX = 64 * 1024
const ARGUMENTS_MAX = 1024 * 1024
const ARGUMENT_BYTES_MAX = 16 * 1024 * 1024

/** What the peer has sent is no request, and what follows cannot be told apart any more. */
export class ProtocolError extends Error {}

/**
 * Consumes a request and returns its arguments, which are views. If it is not complete, consumes
 * nothing and returns how many bytes have to be there before another try can do better.
 */
export function parse(input) {
  const cursor = { input, at: 0, needs: 0 }
  const args = input.peekByte() === STAR ? readArray(cursor) : readWords(cursor)
  if (args === undefined) return cursor.needs
  input.skip(cursor.at)
  return args
}

function readArray(cursor) {
  const count = readNumber(cursor, '*', ARGUMENTS_MAX)
  if (count === undefined) return undefined
  const args = []
  while (args.length < count) {
    const length = readNumber(cursor, '$', ARGUMENT_BYTES_MAX)
    if (length === undefined) return undefined
    cursor.needs = cursor.at + length + CRLF.length
    if (cursor.input.length < cursor.needs) return undefined
    args.push(cursor.input.peek(length, cursor.at))
    cursor.at = cursor.needs
  }
  return args
}

function readWords(cursor) {
  const words = readLine(cursor)?.match(/\S+/g) ?? []
  return cursor.needs > 0 ? undefined : words.map((word) => Buffer.from(word))
}

/** The number on a line that begins with `type`. */
function readNumber(cursor, type, max) {
  const line = readLine(cursor)
  if (line === undefined) return undefined
  const number = /^\d+$/.test(line.slice(1)) ? Number(line.slice(1)) : Infinity
  if (line[0] === type && number <= max) return number
  throw new ProtocolError(`expected '${type}' and a number up to ${max}, got '${line}'`)
}

function readLine(cursor) {
  const { input, at } = cursor
  const end = input.indexOf(CRLF, at)
  if ((end < 0 ? input.length : end) - at > LINE_BYTES_MAX) throw new ProtocolError('line too long')
  if (end < 0) cursor.needs = input.length + 1
  else cursor.at = end + CRLF.length
  return end < 0 ? undefined : input.peek(end - at, at).toString()
}
