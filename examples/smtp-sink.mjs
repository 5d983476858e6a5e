// A mail server for development: it takes every message, prints it, and delivers none (RFC 5321).
//
//   node examples/smtp-sink.mjs [port]     0 picks a free one
import { delimited, serve } from 'nodepoll'

const lines = delimited({ delimiter: '\r\n', limit: 64 * 1024 })

const MESSAGE_BYTES_MAX = 10 * 1024 * 1024

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  idleTimeoutMs: 5 * 60_000,
  onConnect({ writer }) {
    lines.write(writer, '220 nodepoll takes it all')
    writer.flush()
    return { envelope: [], text: undefined, bytes: 0 }
  },
  onRequest: lines.onFrame((line, connection, session) => {
    const take = session.text === undefined ? command : content
    const reply = take(line.toString(), session)
    if (reply !== undefined) lines.write(connection.writer, reply)
    if (!reply?.startsWith('221')) return
    connection.writer.flush()
    return connection.close()
  }),
  onError: (error) => console.error(error.message),
})
console.log('listening on', server.address.port)

function command(line, session) {
  const verb = line.slice(0, 4).toUpperCase()
  if (['EHLO', 'HELO', 'RSET'].includes(verb)) session.envelope = []
  else if (['MAIL', 'RCPT'].includes(verb)) session.envelope.push(line)
  else if (verb === 'QUIT') return '221 bye'
  else if (verb === 'DATA') {
    if (session.envelope.length < 2) return '503 MAIL and RCPT come first'
    Object.assign(session, { text: [], bytes: 0 })
    return '354 end with a dot on a line of its own'
  } else if (verb !== 'NOOP') return `500 what is ${verb}?`
  return '250 OK'
}

/** A line of a message. One that begins with a dot comes with one more. */
function content(line, session) {
  session.bytes += line.length
  if (line !== '.') {
    if (session.bytes <= MESSAGE_BYTES_MAX) session.text.push(line.replace(/^\./, ''))
    return undefined
  }
  const isTaken = session.bytes <= MESSAGE_BYTES_MAX
  if (isTaken) console.log([...session.envelope, '', ...session.text, ''].join('\n'))
  Object.assign(session, { envelope: [], text: undefined })
  return isTaken ? '250 printed' : '552 too long'
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.shutdown({ deadlineMs: 2000, force: true }).catch(() => {}))
}
