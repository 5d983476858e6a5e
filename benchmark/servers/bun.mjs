// An echo server on Bun.listen, for Bun alone. argv[2]: the port, 0 picks one.
/* global Bun */
import { Sender } from './bun-sender.mjs'

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = new Sender(socket)
      socket.setNoDelay(true)
    },
    data(socket, bytes) {
      socket.data.send(bytes)
    },
    drain(socket) {
      socket.data.goOn()
    },
    // A peer that resets its connection ends that connection only.
    error() {},
  },
})
console.log(`listening ${server.port}`)
