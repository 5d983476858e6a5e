// What several kinds of clients do.
import { setImmediate as turn } from 'node:timers/promises'

import { violate } from '../violation.mjs'
import { watch } from '../watchdog.mjs'

const READ_MAX = 256 << 10

/** How a client may end its connection when all is done. */
export const leavings = ['finish', 'close', 'close', 'reset']

/** By whom the server's connection then ends. A reset unix socket shows as one or the other. */
export function reasonsOf(leave, isUnix) {
  if (leave !== 'reset') return ['peer']
  return isUnix ? ['peer', 'error'] : ['error']
}

/** The client sends bytes, in pieces of up to `max`, without a pause or with some. */
export async function send(peer, session, bytes, max) {
  const { random, request } = session
  for (let left = bytes; left > 0;) {
    const piece = Math.min(left, random.integer(1, max))
    left -= piece
    await peer.write(request.take(piece))
    if (random.chance(0.2)) await turn()
  }
}

/** The client receives bytes and compares them. */
export async function receive(peer, session, bytes, stream) {
  const { random } = session
  for (let left = bytes; left > 0;) {
    const max = random.magnitude(1, READ_MAX)
    const chunk = random.chance(0.2) ? await peer.read(Math.min(left, max)) : await peer.some(left)
    if (chunk === null) violate(`${session.name}: FIN comes ${left} bytes too soon`)
    stream.check(chunk)
    left -= chunk.length
  }
}

/** The client has received all there is, and FIN has to follow. */
export async function expectFin(peer, session) {
  const more = await peer.some(1)
  if (more !== null) violate(`${session.name}: more bytes come than there are`)
}

/** The server sends bytes of its own, and waits where it should. */
export async function sendReply(connection, session, bytes, max) {
  for (let left = bytes; left > 0;) {
    const piece = Math.min(left, session.random.integer(1, max))
    left -= piece
    if (!connection.write(session.reply.take(piece))) await drained(connection, session)
  }
}

/** The server waits until the kernel has taken all output. */
export function drained({ writer }, session) {
  return watch(writer.drained(), () => `drained() for ${session.name}`)
}

/** The server flushes, and waits if too much is pending. */
export function flush(connection, session) {
  return connection.writer.flush() ? undefined : drained(connection, session)
}

/** Compares bytes of a LinkBuffer from its beginning on, and leaves them there. */
export function checkChunks(buffer, stream) {
  for (const chunk of buffer.chunks()) stream.check(chunk)
}
