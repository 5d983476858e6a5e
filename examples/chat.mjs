// A chat: what one says all others hear. Try it with two terminals of `nc 127.0.0.1 7000`.
//
//   node examples/chat.mjs [port]     0 picks a free one
import { delimited, serve } from 'nodepoll'

const lines = delimited({ limit: 1000 })

/** Output that a member may be behind with before it is dropped, so that none slows the others. */
const BEHIND_BYTES_MAX = 256 * 1024

const members = new Map() // their names, by connection

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  idleTimeoutMs: 60 * 60_000,
  onConnect(connection) {
    const name = `guest${connection.remoteAddress.port}`
    tellAll(`* ${name} has come`)
    members.set(connection, name)
    connection.addCloseCallback(() => {
      const last = members.get(connection)
      members.delete(connection)
      tellAll(`* ${last} has left`)
    })
    tell(connection, `* welcome, ${name}: /name <new name>, /who, /quit`)
  },
  onRequest: lines.onFrame((line, connection) => {
    // Text of our own: the view of the line is valid only until the handler has settled.
    const [word, ...rest] = line.toString().trim().split(/\s+/)
    if (word === '/quit') void connection.close()
    else if (word === '/who') tell(connection, `* ${[...members.values()].join(', ')}`)
    else if (word === '/name' && rest.length > 0) rename(connection, rest.join(' '))
    else if (word !== '') tellAll(`${members.get(connection)}: ${[word, ...rest].join(' ')}`)
  }),
  onError: (error) => console.error(error.message),
})
console.log('listening on', server.address.port)

function rename(connection, name) {
  tellAll(`* ${members.get(connection)} is now ${name}`)
  members.set(connection, name)
}

function tellAll(text) {
  for (const member of members.keys()) tell(member, text)
}

/** What is told to several in one turn of the JavaScript loop leaves for each in one piece. */
function tell(member, text) {
  if (!member.isActive) return
  lines.write(member.writer, text)
  member.writer.flush()
  if (member.writer.pendingLength > BEHIND_BYTES_MAX) member.reset()
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.shutdown({ deadlineMs: 2000, force: true }).catch(() => {}))
}
