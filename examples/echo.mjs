// An echo server: what arrives goes back as it is, without a copy and without a look at it.
//
//   node examples/echo.mjs [port]     0 picks a free one
import { serve } from 'nodepoll'

const server = await serve({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 7000),
  onRequest({ input, writer }) {
    writer.append(input).flush()
  },
})
console.log('listening on', server.address.port)

// The first signal lets connections finish, a second one ends the process as usual.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await server.shutdown({ deadlineMs: 5000, force: true }).catch((error) => {
      console.error(error.message)
    })
  })
}
