// A request/reply server on Bun.listen, for Bun alone: each frame is answered by one with the same
// payload. argv[2]: the port, 0 picks one.
/* global Bun */
import { Sender } from './bun-sender.mjs'
import { FrameReplies } from './frames.mjs'

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = { sender: new Sender(socket), frames: new FrameReplies() }
      socket.setNoDelay(true)
    },
    data({ data: { sender, frames } }, bytes) {
      const replies = frames.toReplies(bytes)
      if (replies !== undefined) sender.send(replies)
    },
    drain(socket) {
      socket.data.sender.goOn()
    },
    // A peer that resets its connection ends that connection only.
    error() {},
  },
})
console.log(`listening ${server.port}`)
