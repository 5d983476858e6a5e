// node:net in its `onread` mode, in which sockets read into memory that is used again and do
// without 'data' events. Only the constructor of net.Socket takes that option, so what is accepted
// gets a new Socket around its handle; node:net has no public way to do so.
import net from 'node:net'

const READ_BYTES = 64 * 1024
const BACKLOG = 1024

/**
 * Listens on `port` of 127.0.0.1 and says so. `makeHandler` makes for each socket what is called
 * with the bytes that have come, which are the caller's again when it returns.
 */
export function listenWithOnread(port, makeHandler) {
  // One for all: a read is handled before the next one begins.
  const memory = Buffer.allocUnsafe(READ_BYTES)
  const server = net.createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
    const { _handle: handle } = accepted
    accepted._handle = null
    const callback = (length) => {
      handler(memory.subarray(0, length))
      return true
    }
    const socket = new net.Socket({ handle, onread: { buffer: memory, callback } })
    const handler = makeHandler(socket)
    // A peer that resets its connection ends that connection only.
    socket.on('error', () => {})
    socket.resume()
  })
  server.listen({ host: '127.0.0.1', port, backlog: BACKLOG }, () => {
    console.log(`listening ${server.address().port}`)
  })
}
