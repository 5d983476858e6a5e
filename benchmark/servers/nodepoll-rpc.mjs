// A request/reply server on nodepoll: each frame, a length of 4 bytes (big-endian) and a payload,
// is answered by a frame with the same payload. argv[2]: the port, 0 picks one. For load generators
// that send frames; that of `npm run bench` sends bytes without a structure.
import { lengthPrefixed, serve } from 'nodepoll'

const frames = lengthPrefixed()

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  onRequest: frames.onFrame((frame, { writer }) => frames.write(writer, frame)),
})
console.log(`listening ${server.address.port}`)
