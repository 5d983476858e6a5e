import { connect } from 'node:net'

import type { ExecutionContext } from 'ava'
import { createListener, type Listener } from 'nodepoll'

import { eventually, settled, within } from './deadline.ts'
import { portOf } from './server.ts'

const FILLERS = 12

/** A port at which a connect neither succeeds nor fails: the listener's queue is full. */
export async function startBlackHole(
  t: ExecutionContext<unknown>,
  host = '127.0.0.1',
): Promise<{ readonly port: number; readonly listener: Listener }> {
  const listener = await createListener({ host, backlog: 1 })
  const port = portOf(listener.address)
  let count = 0
  const sockets = Array.from({ length: FILLERS }, () =>
    connect(port, host)
      .on('connect', () => count++)
      .on('error', () => {}),
  )
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await within(listener.close(), 'the end of a black hole')
  })
  await eventually(() => count > 0, 'a socket that fits')
  await settled(() => count)
  if (count === 0 || count === FILLERS) {
    throw new Error(`${count} of ${FILLERS} sockets fit into a queue of one`)
  }
  return { port, listener }
}
