// Clients that end the connection, or their half of it, before all is said.
import { setTimeout as later } from 'node:timers/promises'

import { watch } from '../watchdog.mjs'
import { echo } from './echo.mjs'
import { expectFin, reasonsOf, receive, send, sendReply } from './parts.mjs'

const CHUNK_MAX = 100 << 10

/** Sends all and FIN at once: the server has to read and answer to the end. */
export const sendAndFinish = {
  ...echo,
  name: 'send and finish',
  weight: 8,
  halfCloses: true,
  plan: (random) => ({
    ...echo.plan(random),
    bytes: random.magnitude(1, 1 << 20),
    leave: 'finish',
  }),
  async client(peer, session) {
    const { plan } = session
    const replies = session.requestFrom(0, 'what came back')
    await Promise.all([
      send(peer, session, plan.bytes, CHUNK_MAX).then(() => peer.finish()),
      receive(peer, session, plan.bytes, replies),
    ])
    await expectFin(peer, session)
  },
}

/** Sends FIN while a handler is pending, which answers later, and at some length. */
export const halfClose = {
  name: 'half-close',
  weight: 6,
  halfCloses: true,
  plan: (random) => ({
    bytes: random.magnitude(1, 64 << 10),
    replyBytes: random.magnitude(1, 512 << 10),
    delayMs: random.integer(0, 100),
  }),
  async client(peer, session) {
    const { bytes, replyBytes } = session.plan
    await send(peer, session, bytes, CHUNK_MAX)
    peer.finish()
    await receive(peer, session, replyBytes, session.reply)
    await expectFin(peer, session)
  },
  async serve(connection, session) {
    const { bytes, replyBytes, delayMs } = session.plan
    await watch(connection.reader.wait(bytes), () => `a read of ${session.name}`)
    await later(delayMs)
    session.request.check(connection.input.next(bytes))
    await sendReply(connection, session, replyBytes, CHUNK_MAX)
  },
  reasons: () => ['peer'],
}

/** Sends a part, reads a part of the answer or nothing, and resets. */
export const resetByClient = {
  ...echo,
  name: 'reset by client',
  weight: 8,
  plan(random) {
    const plan = echo.plan(random)
    return { ...plan, readBytes: random.integer(0, plan.bytes), leave: 'reset' }
  },
  async client(peer, session) {
    const { bytes, chunkMax, readBytes } = session.plan
    const sending = send(peer, session, bytes, chunkMax)
    // What it waits for when the reset comes fails, of course.
    sending.catch(() => {})
    await receive(peer, session, readBytes, session.requestFrom(0, 'what came back'))
    await peer.reset()
  },
  reasons: (plan, isUnix) => reasonsOf('reset', isUnix),
}
