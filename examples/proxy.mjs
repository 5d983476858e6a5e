// A TCP proxy: bytes go from one connection to the other by handing over the memory they arrived
// in. JavaScript neither copies nor sees them.
//
//   node examples/proxy.mjs <port> <target port> [target host]     port 0 picks a free one
import { dial, serve } from 'nodepoll'

const [port, targetPort, targetHost = '127.0.0.1'] = process.argv.slice(2)
if (targetPort === undefined) {
  console.error('usage: node examples/proxy.mjs <port> <target port> [target host]')
  process.exit(2)
}

const server = await serve({
  host: '127.0.0.1',
  port: Number(port),
  // Input of the client waits until this has settled; the target becomes its context.
  async onConnect(client) {
    const target = await dial({
      host: targetHost,
      port: Number(targetPort),
      onRequest: (self) => pass(self, client),
    })
    // Closing sends what was flushed before, so that a last reply still arrives.
    client.addCloseCallback(() => void target.close())
    target.addCloseCallback(() => void client.close())
    return target
  },
  onRequest: (client, target) => pass(client, target),
  onError(error) {
    console.error(error.message)
  },
})
console.log('listening on', server.address.port)

/** Hands all input of `from` on to `to`; settles when `to` can take more. */
async function pass(from, to) {
  try {
    if (!to.writer.append(from.input).flush()) await to.writer.drained()
  } catch {
    // The other end has gone: nobody is left to hear what this one says.
    from.destroy()
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await server.shutdown({ deadlineMs: 5000, force: true }).catch((error) => {
      console.error(error.message)
    })
  })
}
