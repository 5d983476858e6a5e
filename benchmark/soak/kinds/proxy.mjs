// Connections that the server passes on to itself: each side's input is appended to the other's
// output.
import { dial } from 'nodepoll'

import { encodeHello } from '../hello.mjs'
import { Ledger } from '../ledger.mjs'
import { watch } from '../watchdog.mjs'
import { echo } from './echo.mjs'
import { flush } from './parts.mjs'

/** Where the server dials itself: set by the server. */
export const upstreams = { kind: 0, dialled: 0, pick: () => undefined }

export const proxy = {
  ...echo,
  name: 'proxy',
  weight: 8,
  cost: ({ bytes }) => 2 * Math.min(bytes, 1 << 20),
  async begin(connection, session) {
    const describe = () => `the upstream of ${session.name}`
    const ledgerOf = (own) => Ledger.of(own) ?? new Ledger(own, describe, session.random)
    const upstream = await watch(
      dial({
        ...upstreams.pick(),
        onRequest: (own) => ledgerOf(own).request(() => pass(own, connection, session)),
        onDisconnect: (own) => ledgerOf(own).disconnected(),
        onError: (error, own) => ledgerOf(own).failed(error),
      }),
      describe,
    )
    upstreams.dialled++
    ledgerOf(upstream).reasons = ['local']
    upstream.write(encodeHello({ ...session, kind: upstreams.kind, isProxied: true }))
    session.state.upstream = upstream
    // The client is the one who leaves.
    void connection.closed.then(() => {
      ledgerOf(upstream).endsByUs()
      return upstream.close()
    })
  },
  serve: (connection, session) => pass(connection, session.state.upstream, session),
}

/** All that is there. A target that has ended takes nothing, which its source learns soon. */
async function pass(source, target, session) {
  try {
    target.writer.append(source.input)
    await flush(target, session)
  } catch (error) {
    if (target.isActive) throw error
  }
}
