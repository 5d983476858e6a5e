// An echo server on node:net in its `onread` mode. argv[2]: the port, 0 picks one.
import { listenWithOnread } from './onread.mjs'

listenWithOnread(Number(process.argv[2]), (socket) => (bytes) => socket.write(Buffer.from(bytes)))
