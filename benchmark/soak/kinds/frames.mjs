// Requests with a length in front, many under way at a time.
import { setImmediate as turn } from 'node:timers/promises'

import { lengthPrefixed } from 'nodepoll'

import { leavings, reasonsOf } from './parts.mjs'

const HEADER_BYTES = 4
const framing = lengthPrefixed()
const serve = framing.onFrame((frame, connection, session) => {
  session.request.check(frame)
  const answer = () => framing.write(connection.writer, frame)
  if (!session.plan.isAsync) return answer()
  return turn().then(answer)
})

export const frames = {
  name: 'frames',
  weight: 14,
  plan: (random) => ({
    count: random.integer(1, 60),
    bytesMax: random.magnitude(1, 40_000),
    isPipelined: random.chance(0.7),
    isAsync: random.chance(0.3),
    leave: random.pick(leavings),
  }),
  cost: ({ count, bytesMax }) => Math.min(count * bytesMax, 1 << 20),
  async client(peer, session) {
    const { plan, random } = session
    const lengths = Array.from({ length: plan.count }, () => random.integer(1, plan.bytesMax))
    const replies = session.requestFrom(0, 'what came back')
    if (plan.isPipelined) {
      await Promise.all([sendFrames(peer, session, lengths), receiveFrames(peer, replies, lengths)])
    } else {
      for (const length of lengths) {
        await sendFrames(peer, session, [length])
        await receiveFrames(peer, replies, [length])
      }
    }
    await peer.leave(plan.leave)
  },
  serve,
  reasons: ({ leave }, isUnix) => reasonsOf(leave, isUnix),
}

async function sendFrames(peer, { random, request }, lengths) {
  for (const length of lengths) {
    const frame = Buffer.alloc(HEADER_BYTES + length)
    frame.writeUInt32BE(length)
    frame.set(request.take(length), HEADER_BYTES)
    const cut = random.chance(0.3) ? random.integer(0, frame.length) : 0
    if (cut > 0) await peer.write(frame.subarray(0, cut))
    if (cut < frame.length) await peer.write(frame.subarray(cut))
  }
}

async function receiveFrames(peer, stream, lengths) {
  for (const length of lengths) {
    const header = await peer.read(HEADER_BYTES)
    if (header.readUInt32BE() !== length) stream.check(header)
    stream.check(await peer.read(length))
  }
}
