// A request/reply server on node:net: each frame is answered by one with the same payload.
// argv[2]: the port, 0 picks one.
import net from 'node:net'

import { FrameReplies } from './frames.mjs'

const server = net.createServer({ noDelay: true }, (socket) => {
  const frames = new FrameReplies()
  socket.on('data', (data) => {
    const replies = frames.toReplies(data)
    if (replies !== undefined) socket.write(replies)
  })
  // A peer that resets its connection ends that connection only.
  socket.on('error', () => {})
})
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 }, () => {
  console.log(`listening ${server.address().port}`)
})
