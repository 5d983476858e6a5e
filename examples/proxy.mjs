// A TCP proxy: bytes go from one connection to the other by handing over the memory they arrived
// in. JavaScript neither copies nor sees them. A peer that takes slowly slows the other one down,
// and an end is passed on as what it was: FIN as FIN, a reset as a reset.
//
//   node examples/proxy.mjs <port> <target port> [target host]     port 0 picks a free one
import { dial, isNodepollError, serve } from 'nodepoll'

const [port, targetPort, targetHost = '127.0.0.1'] = process.argv.slice(2)
if (targetPort === undefined) {
  console.error('usage: node examples/proxy.mjs <port> <target port> [target host]')
  process.exit(2)
}

/** FIN from one peer ends one direction only; who says nothing for so long is gone. */
const treatment = { allowHalfOpen: true, idleTimeoutMs: 10 * 60_000 }

const server = await serve({
  ...treatment,
  host: '127.0.0.1',
  port: Number(port),
  async onConnect(client) {
    const to = { host: targetHost, port: Number(targetPort), timeoutMs: 5000 }
    const target = await dial({ ...treatment, ...to, signal: client.signal })
    await Promise.all([pass(client, target), pass(target, client)])
  },
  onError: (error) => console.error(error.message),
})
console.log('listening on', server.address.port)

/** Hands all input of `from` on to `to`, until one of them ends. */
async function pass(from, to) {
  try {
    for (;;) {
      await from.reader.wait(1)
      if (!to.writer.append(from.input).flush()) await to.writer.drained()
    }
  } catch (error) {
    if (isNodepollError(error, 'ERR_NODEPOLL_EOF')) await to.closeWrite().catch(() => {})
    else for (const end of [from, to]) end.reset()
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await server.shutdown({ deadlineMs: 5000, force: true }).catch((error) => {
      console.error(error.message)
    })
  })
}
