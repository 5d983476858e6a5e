// Slices of the input that the server keeps for a while, also beyond the end of the connection:
// their bytes may not change, and their memory has to come back.
import { checkChunks, leavings, reasonsOf, receive, send } from './parts.mjs'

const ACKNOWLEDGE_BYTES = 8
const KEPT_BYTES_MAX = 8 << 20
/** Of one client, more or less. */
const SLICES_MAX = 60
const KEPT_MS_MAX = 2500

/** What the server keeps. */
export const kept = { slices: 0, bytes: 0 }

export const slices = {
  name: 'slices',
  weight: 6,
  plan(random) {
    const bytes = random.magnitude(1, 512 << 10)
    const sliceMax = Math.ceil(bytes / random.integer(1, SLICES_MAX))
    return { bytes, sliceMax, leave: random.pick(leavings) }
  },
  cost: ({ bytes }) => 2 * bytes,
  async client(peer, session) {
    await send(peer, session, session.plan.bytes, session.plan.sliceMax * 2)
    await receive(peer, session, ACKNOWLEDGE_BYTES, session.reply)
    await peer.leave(session.plan.leave)
  },
  serve(connection, session) {
    const { plan, random, request } = session
    const { input } = connection
    while (input.length > 0) {
      const bytes = Math.min(input.length, random.integer(1, plan.sliceMax))
      keep(input.slice(bytes), session, request.position)
      request.position += bytes
    }
    if (request.position === plan.bytes) connection.write(session.reply.take(ACKNOWLEDGE_BYTES))
  },
  reasons: ({ leave }, isUnix) => reasonsOf(leave, isUnix),
}

function keep(slice, session, position) {
  const { length } = slice
  const stream = session.requestFrom(position, 'a slice that was kept')
  kept.slices++
  kept.bytes += length
  const release = () => {
    kept.slices--
    kept.bytes -= length
    releases[session.random.pick(Object.keys(releases))](slice, stream)
  }
  if (kept.bytes > KEPT_BYTES_MAX) release()
  else setTimeout(release, session.random.integer(0, KEPT_MS_MAX))
}

const releases = {
  close(slice, stream) {
    checkChunks(slice, stream)
    slice.close()
  },
  release(slice, stream) {
    stream.check(slice.next(slice.length))
    slice.release()
  },
  /** A slice of it outlives it. */
  again(slice, stream) {
    const second = slice.slice(slice.length)
    slice.release()
    checkChunks(second, stream)
    second.close()
  },
  /** The garbage collector gives it back. */
  drop: checkChunks,
}
