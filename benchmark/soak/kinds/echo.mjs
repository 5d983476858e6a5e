// Clients that get back what they send.
import { setTimeout as later } from 'node:timers/promises'

import { watch } from '../watchdog.mjs'
import { flush, leavings, reasonsOf, receive, send } from './parts.mjs'
import { answers } from './ways.mjs'

const CHUNK_MAX = 300 << 10
const WRITES_MAX = 100
const MIB = 1 << 20

/** Chunks of all lengths, sent without waiting for the answers. */
export const echo = {
  name: 'echo',
  weight: 20,
  plan(random) {
    const chunkMax = random.magnitude(1, CHUNK_MAX)
    const bytes = random.integer(1, Math.min(chunkMax * WRITES_MAX, 2 * MIB))
    return { chunkMax, bytes, ...planAnswer(random) }
  },
  cost: ({ bytes }) => Math.min(bytes, MIB),
  async client(peer, session) {
    const { plan } = session
    await Promise.all([
      send(peer, session, plan.bytes, plan.chunkMax),
      receive(peer, session, plan.bytes, session.requestFrom(0, 'what came back')),
    ])
    await peer.leave(plan.leave)
  },
  serve(connection, session) {
    const { delayMs } = session.plan
    if (delayMs === 0) return answer(connection, session)
    return later(delayMs).then(() => answer(connection, session))
  },
  reasons: ({ leave }, isUnix) => reasonsOf(leave, isUnix),
}

/** One short message, as most connections of the world have. */
export const short = {
  ...echo,
  name: 'short',
  weight: 12,
  plan(random) {
    const bytes = random.integer(1, 2000)
    return { chunkMax: bytes, bytes, ...planAnswer(random) }
  },
}

const largeReads = {
  next: ({ reader }, n) => reader.next(n),
  wait: ({ reader }, n) => reader.wait(n),
  peek: ({ reader }, n) => reader.peek(n),
  copy: ({ reader }, n) => reader.readBinary(n),
  slice: ({ reader }, n) => reader.slice(n),
}

/** Messages that are waited for as a whole. */
export const large = {
  ...echo,
  name: 'large',
  weight: 4,
  plan(random) {
    const message = random.integer(MIB, 8 * MIB)
    const bytes = message * random.integer(1, 2)
    const read = random.pick(Object.keys(largeReads))
    return { ...planAnswer(random), chunkMax: CHUNK_MAX, message, bytes, read }
  },
  // Read, put together, copied to be written, pending: each in a chunk of a power of two.
  cost: ({ message }) => 4 * 2 ** Math.ceil(Math.log2(message)),
  async serve(connection, session) {
    const { message, read, answer: how } = session.plan
    const reading = largeReads[read](connection, message)
    const bytes = await watch(reading, () => `a read of ${message} bytes by ${session.name}`)
    if (read === 'wait' || read === 'peek') {
      answers[how](connection, message, session.request)
    } else {
      sendBack(connection, session, bytes)
    }
    await flush(connection, session)
  },
}

function planAnswer(random) {
  return {
    answer: random.pick(Object.keys(answers)),
    delayMs: random.chance(0.3) ? random.integer(0, 20) : 0,
    leave: random.pick(leavings),
  }
}

function answer(connection, session) {
  const { input } = connection
  answers[session.plan.answer](connection, input.length, session.request)
  return flush(connection, session)
}

/** What was read already: a Buffer or a slice. */
function sendBack({ writer }, { request }, bytes) {
  if (bytes instanceof Uint8Array) {
    request.check(bytes)
    writer.writeBinary(bytes)
    return
  }
  for (const chunk of bytes.chunks()) request.check(chunk)
  writer.append(bytes)
  bytes.close()
}
