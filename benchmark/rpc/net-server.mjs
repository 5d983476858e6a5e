// A server of nodepoll/rpc's frames on node:net, written for speed: what one chunk of input brings
// is answered by one write. argv[2]: the port, 0 picks one. With `--each` each reply is written by
// itself, as most programs do.
import net from 'node:net'

import { CALL, Frames, preface, readUInt32, REPLY, REPLY_HEAD_BYTES, setUInt32 } from './wire.mjs'

const isEach = process.argv.includes('--each')
const methods = new Map([['echo', (bytes) => bytes]])

const server = net.createServer({ noDelay: true }, (socket) => {
  const frames = new Frames()
  let replies = []
  let length = 0
  let isGreeted = false
  const flush = () => {
    socket.write(encode(replies, length))
    replies = []
    length = 0
  }
  const take = (bytes, at, end) => {
    if (bytes[at] !== CALL) throw new Error(`a frame of the kind ${bytes[at]}`)
    const payloadAt = at + 12 + ((bytes[at + 2] << 8) | bytes[at + 3])
    const method = methods.get(bytes.latin1Slice(at + 12, payloadAt))
    const payload = method(bytes.subarray(payloadAt, end))
    replies.push({ id: readUInt32(bytes, at + 4), payload })
    length += REPLY_HEAD_BYTES + payload.length
    if (isEach) flush()
  }
  socket.on('data', (data) => {
    if (!isGreeted) socket.write(preface(1024))
    isGreeted = true
    frames.push(data, take)
    if (length > 0) flush()
  })
  socket.on('error', () => {})
})
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]) }, () => {
  console.log(`listening ${server.address().port}`)
})

function encode(replies, length) {
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  for (const { id, payload } of replies) {
    setUInt32(bytes, at, 8 + payload.length)
    setUInt32(bytes, at + 4, REPLY << 24)
    setUInt32(bytes, at + 8, id)
    bytes.set(payload, at + REPLY_HEAD_BYTES)
    at += REPLY_HEAD_BYTES + payload.length
  }
  return bytes
}
