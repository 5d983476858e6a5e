// Clients that send as fast as they can, to a server that does not read for a while.
import { setTimeout as later } from 'node:timers/promises'

import { violate } from '../violation.mjs'
import { leavings, reasonsOf, receive, send } from './parts.mjs'
import { readings } from './ways.mjs'

const ACKNOWLEDGE_BYTES = 8
const CHUNK_MAX = 128 << 10
/** `readBufferMax` of the soak's server, which it may not exceed for those who do not wait. */
export const READ_BUFFER_MAX = 256 << 10

export const flood = {
  name: 'flood',
  weight: 6,
  plan: (random) => ({
    bytes: random.magnitude(64 << 10, 6 << 20),
    /** What keeps the server from reading: a handler that takes its time, or `pause()`. */
    pauses: random.chance(0.5),
    holdMs: random.integer(1, 400),
    read: random.pick(Object.keys(readings)),
    leave: random.pick(leavings),
  }),
  cost: () => 2 * READ_BUFFER_MAX,
  async client(peer, session) {
    await send(peer, session, session.plan.bytes, CHUNK_MAX)
    await receive(peer, session, ACKNOWLEDGE_BYTES, session.reply)
    await peer.leave(session.plan.leave)
  },
  serve(connection, session) {
    if (connection.isPaused) violate(`${session.name}: a handler is called after pause()`)
    const { plan, random } = session
    const waits = session.state.waits ?? random.integer(1, 3)
    session.state.waits = waits - 1
    if (waits <= 0) return take(connection, session)
    if (!plan.pauses) return later(plan.holdMs).then(() => take(connection, session))
    take(connection, session)
    if (session.request.position < plan.bytes) holdBack(connection, session)
    return undefined
  },
  reasons: ({ leave }, isUnix) => reasonsOf(leave, isUnix),
}

function take(connection, { name, plan, request, reply }) {
  const { length } = connection.input
  if (length > READ_BUFFER_MAX) violate(`${name}: ${length} bytes are unread`)
  readings[plan.read](connection, length, request)
  if (request.position === plan.bytes) connection.write(reply.take(ACKNOWLEDGE_BYTES))
}

function holdBack(connection, session) {
  connection.pause()
  if (!connection.isPaused) violate(`${session.name}: isPaused is false after pause()`)
  setTimeout(() => {
    connection.resume()
    if (connection.isPaused) violate(`${session.name}: isPaused is true after resume()`)
  }, session.plan.holdMs)
}
