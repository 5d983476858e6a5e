// A request/reply server on node:net in its `onread` mode: each frame is answered by one with the
// same payload. argv[2]: the port, 0 picks one.
import { FrameReplies } from './frames.mjs'
import { listenWithOnread } from './onread.mjs'

listenWithOnread(Number(process.argv[2]), (socket) => {
  const frames = new FrameReplies()
  return (bytes) => {
    const replies = frames.toReplies(bytes)
    if (replies !== undefined) socket.write(replies)
  }
})
