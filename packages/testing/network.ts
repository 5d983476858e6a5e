import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import type { ExecutionContext } from 'ava'

import { within } from './waiting.ts'

/** A socket of `node:net`, and a promise of all that comes until its end. */
export async function rawPeer(
  t: ExecutionContext,
  port: number,
): Promise<{ socket: Socket; all: Promise<Buffer> }> {
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => {})
  const all = once(socket, 'close').then(() => Buffer.concat(chunks))
  await within(once(socket, 'connect'), 'a connection')
  return { socket, all: within(all, 'the end of a connection') }
}
