// An echo server on node:net, as one writes it for speed. argv[2]: the port, 0 picks one.
import net from 'node:net'

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('data', (data) => socket.write(data))
  // A peer that resets its connection ends that connection only.
  socket.on('error', () => {})
})
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 }, () => {
  console.log(`listening ${server.address().port}`)
})
