// Replies of the Redis protocol, RESP2, into bytes.

/** A failure that the sender of a request is told of. */
export class CommandError extends Error {}

export const OK = Symbol('+OK')
export const PONG = Symbol('+PONG')

/** OK, and then the connection ends. */
export const BYE = Symbol('+OK')

/** Writes a Buffer, null, a number, an array of these, a symbol or a `CommandError`. */
export function write(writer, reply) {
  if (Buffer.isBuffer(reply)) {
    writer.writeString(`$${reply.length}\r\n`).writeBinary(reply).writeString('\r\n')
  } else if (Array.isArray(reply)) {
    writer.writeString(`*${reply.length}\r\n`)
    for (const each of reply) write(writer, each)
  } else {
    writer.writeString(`${line(reply)}\r\n`)
  }
}

function line(reply) {
  if (reply === null) return '$-1'
  if (typeof reply === 'number') return `:${reply}`
  if (typeof reply === 'symbol') return reply.description
  return `-ERR ${reply.message.replaceAll(/\s/g, ' ')}`
}
