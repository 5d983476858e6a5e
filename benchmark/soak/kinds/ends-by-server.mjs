// Connections that the server ends, in every way that there is.
import { Ledger } from '../ledger.mjs'
import { violate } from '../violation.mjs'
import { watch } from '../watchdog.mjs'
import { drained } from './parts.mjs'

const JUNK_MAX = 32 << 10

/**
 * What the server does after its reply, what the client has to see then, and how the server's
 * connection ends:
 *
 * - `'whole'`: every byte, then FIN
 * - `'part'`: some first part, then FIN or a reset
 * - `'reset'`: some first part, then a reset, if the client can tell it from FIN
 */
const endings = [
  { name: 'close()', seen: 'whole', by: 'local', end: (connection) => void connection.close() },
  {
    name: 'awaited close()',
    seen: 'whole',
    by: 'local',
    end: (connection, { name }) => watch(connection.close(), () => `close() for ${name}`),
  },
  { name: 'destroy()', seen: 'part', by: 'local', end: (connection) => connection.destroy() },
  {
    name: 'destroy(error)',
    seen: 'part',
    by: 'error',
    end: (connection) => connection.destroy(new Error('destroyed')),
  },
  { name: 'reset()', seen: 'reset', by: 'local', end: (connection) => connection.reset() },
  {
    name: 'throw',
    seen: 'part',
    by: 'error',
    end(connection) {
      throw Ledger.of(connection).willThrow('a handler')
    },
  },
  {
    name: 'reject',
    seen: 'part',
    by: 'error',
    end: (connection) => Promise.reject(Ledger.of(connection).willThrow('a handler')),
  },
]

export const byServer = endings.map(({ name, seen, by, end }) => ({
  name: `server's ${name}`,
  weight: seen === 'whole' ? 4 : 2,
  greets: true,
  plan: (random) => ({
    replyBytes: random.magnitude(1, 1 << 20),
    /** Bytes that the server never reads. */
    junkBytes: random.chance(0.5) ? 0 : random.magnitude(1, JUNK_MAX),
    drains: random.chance(0.3),
  }),
  cost: ({ replyBytes }) => replyBytes,
  async client(peer, session) {
    // At once, as the server ends the connection as soon as it knows who it is.
    await peer.write(Buffer.concat([session.hello, session.request.take(session.plan.junkBytes)]))
    const code = await receiveToEnd(peer, session)
    const isWhole = session.reply.position === session.plan.replyBytes
    const isWrong =
      (seen === 'whole' && !(isWhole && code === 'FIN')) ||
      (seen === 'reset' && peer.seesResets && code === 'FIN')
    if (isWrong) {
      const { position } = session.reply
      violate(`${session.name}: ${code} after ${position} of ${session.plan.replyBytes} bytes`)
    }
  },
  begin(connection, session) {
    connection.write(session.reply.take(session.plan.replyBytes))
    // Without a flush it is dropped at the end.
    if (session.random.chance(0.5)) connection.writer.writeString('never sent')
    const ledger = Ledger.of(connection)
    const finish = () => {
      ledger.endsByUs()
      return end(connection, session)
    }
    return session.plan.drains ? drained(connection, session).then(finish) : finish()
  },
  serve(connection, session) {
    violate(`${session.name}: onRequest is called after the connection was ended`)
  },
  reasons: () => [by],
}))

/** How it has ended: FIN or the code of an error. */
async function receiveToEnd(peer, { reply }) {
  try {
    for (let chunk = await peer.some(Infinity); chunk !== null; chunk = await peer.some(Infinity)) {
      reply.check(chunk)
    }
    return 'FIN'
  } catch (error) {
    if (!['ECONNRESET', 'EPIPE'].includes(error.code)) throw error
    return error.code
  }
}
