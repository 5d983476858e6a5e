// Clients that take their time.
import { isNodepollError } from 'nodepoll'

import { leavings, reasonsOf, receive, send, sendReply } from './parts.mjs'
import { watch } from '../watchdog.mjs'
import { echo } from './echo.mjs'
import { HELLO_BYTES } from '../hello.mjs'
import { violate } from '../violation.mjs'

/** Asks for much and reads it little by little. */
export const slowReader = {
  name: 'slow reader',
  weight: 6,
  plan: (random) => ({
    bytes: random.magnitude(16 << 10, 4 << 20),
    reads: random.integer(2, 40),
    restMs: random.integer(1, 150),
    leave: random.pick(leavings),
  }),
  cost: () => 1 << 20,
  async client(peer, session) {
    const { bytes, reads, restMs, leave } = session.plan
    const part = Math.ceil(bytes / reads)
    for (let left = bytes; left > 0; left -= part) {
      await session.rest(restMs)
      await receive(peer, session, Math.min(part, left), session.reply)
    }
    await peer.leave(leave)
  },
  begin: (connection, session) => sendReply(connection, session, session.plan.bytes, 100 << 10),
  serve() {},
  reasons: ({ leave }, isUnix) => reasonsOf(leave, isUnix),
}

/** Sends a few bytes now and then; the server waits for a number of them. */
export const slowWriter = {
  name: 'slow writer',
  weight: 8,
  plan: (random) => ({
    message: random.integer(1, 12),
    count: random.integer(1, 8),
    restMs: random.integer(1, 120),
    /** How long the server waits at a time before it tries again, or 0. */
    patienceMs: random.chance(0.5) ? 0 : random.integer(1, 60),
    leave: random.pick(leavings),
  }),
  async client(peer, session) {
    const { message, count, restMs, leave } = session.plan
    const replies = session.requestFrom(0, 'what came back')
    const answered = receive(peer, session, message * count, replies)
    for (let left = message * count; left > 0;) {
      const piece = Math.min(left, session.random.integer(1, 3))
      left -= piece
      await send(peer, session, piece, piece)
      await session.rest(restMs)
    }
    await answered
    await peer.leave(leave)
  },
  async serve(connection, session) {
    const { message, patienceMs } = session.plan
    connection.setReadTimeout(patienceMs)
    const bytes = await watch(insist(connection, message), () => `a message of ${session.name}`)
    session.request.check(bytes)
    connection.write(bytes)
  },
  reasons: ({ leave }, isUnix) => reasonsOf(leave, isUnix),
}

/** Reads again and again until the bytes are there; a read that was too late consumes nothing. */
async function insist({ input, reader, bytesRead }, n) {
  for (;;) {
    try {
      return await reader.next(n)
    } catch (error) {
      if (!isNodepollError(error, 'ERR_NODEPOLL_READ_TIMEOUT')) throw error
      if (input.length >= n) violate(`a read of ${n} bytes times out beside ${input.length}`)
      if (bytesRead < input.length) violate('there is more than has come')
    }
  }
}

/** Says a word, and is left when it says no more. */
export const forgotten = {
  name: 'forgotten',
  weight: 4,
  plan: (random) => ({
    ...echo.plan(random),
    bytes: random.integer(1, 100),
    idleMs: random.integer(20, 400),
  }),
  async client(peer, session) {
    const { bytes } = session.plan
    const replies = session.requestFrom(0, 'what came back')
    await Promise.all([send(peer, session, bytes, bytes), receive(peer, session, bytes, replies)])
    if ((await peer.some(1)) !== null) violate(`${session.name}: more bytes come than there are`)
    await peer.ended()
  },
  serve(connection, session) {
    const { plan, request } = session
    // Not sooner: a client that has not had its turn for so long would be left in mid-word.
    const answered = () => {
      if (request.position === plan.bytes) connection.setIdleTimeout(plan.idleMs)
    }
    const pending = echo.serve(connection, session)
    return pending === undefined ? answered() : pending.then(answered)
  },
  reasons: () => ['timeout'],
}

/** Says a word, stays for long, says another one. */
export const idle = {
  ...echo,
  name: 'idle',
  weight: 5,
  plan: (random) => ({
    ...echo.plan(random),
    bytes: random.integer(1, 100),
    stayMs: random.magnitude(1000, 60_000),
  }),
  async client(peer, session) {
    const replies = session.requestFrom(0, 'what came back')
    const { bytes, stayMs, leave } = session.plan
    for (const restMs of [0, stayMs]) {
      await session.rest(restMs)
      await Promise.all([send(peer, session, bytes, bytes), receive(peer, session, bytes, replies)])
    }
    await peer.leave(leave)
  },
}

/** Says nothing, or not even its name to the end. */
export const silent = {
  name: 'silent',
  weight: 5,
  greets: true,
  plan: (random) => ({
    bytes: random.chance(0.5) ? 0 : random.integer(1, HELLO_BYTES - 1),
    stayMs: random.integer(0, 800),
    leave: random.pick(leavings),
  }),
  async client(peer, session) {
    const { bytes, stayMs, leave } = session.plan
    if (bytes > 0) await peer.write(session.hello.subarray(0, bytes))
    await session.rest(stayMs)
    await peer.leave(leave)
  },
}
