import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * No system gives these ports to who asks for any: an outgoing connection of others might get the
 * one that was free a moment ago, also one to that very port, which would then be to itself.
 */
const FIRST = 10_000
const LAST = 30_000

/** A port on which nobody listens now, for what is told where another one listens. */
export async function freePort() {
  for (;;) {
    const port = randomInt(FIRST, LAST)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
