// The echo server of the experiments. argv[2]: the folder of the variant; argv[3]: settings as
// JSON: `runtime` for configure(), `handler`, and `size`, the bytes of one message; argv[4]: the
// port. It answers the message 'counts' of a parent process with its stats().
import { pathToFileURL } from 'node:url'

const [, , folder, json, port] = process.argv
const { runtime, handler = 'append', size } = JSON.parse(json)
const { configure, fixedSize, serve, stats } = await import(
  pathToFileURL(`${folder}/dist/index.js`).href
)

const frames = fixedSize(size)

const handlers = {
  /** Hands over what has arrived, without a copy. */
  append({ input, writer }) {
    writer.append(input)
    writer.flush()
  },

  /** Waits for each message by itself, as handlers of protocols do. */
  async await({ reader, writer }) {
    const message = await reader.slice(size)
    writer.append(message)
    writer.flush()
  },

  /** Copies what has arrived. */
  copy(connection) {
    connection.write(connection.input.next(connection.input.length))
  },

  /** Waits for a message, and copies it. */
  async next({ reader, writer }) {
    writer.writeBinary(await reader.next(size))
    writer.flush()
  },

  /** Waits twice for each message, and never returns. */
  async loop({ input, reader, writer }) {
    for (;;) {
      await reader.peekUInt32BE()
      writer.writeBinary(await reader.next(size))
      writer.flush()
      input.release()
    }
  },

  frames: frames.onFrame((frame, { writer }) => frames.write(writer, frame)),

  /** Has to wait for something else before it can answer. */
  slowFrames: frames.onFrame(async (frame, { writer }) => {
    await undefined
    frames.write(writer, frame)
  }),
}

if (runtime !== undefined) configure(runtime)
const server = await serve({ host: '127.0.0.1', port: Number(port), onRequest: handlers[handler] })
console.log(`listening ${server.address.port}`)

if (process.send !== undefined) {
  process.on('message', (message) => {
    if (message === 'counts') process.send(stats())
  })
  process.on('disconnect', () => process.exit())
}
