import { Connection } from '../connection.ts'
import { invalidArgType } from '../errors.ts'
import type { SocketOptions } from './options.ts'
import { Socket } from './socket.ts'

/**
 * A connection as a stream with the surface of `net.Socket`. The stream takes over: what it reads
 * is gone from `connection.input`, `onRequest` is no longer called, and FIN of the peer ends the
 * input alone until the stream has ended too. Input that is there already comes first.
 *
 * @example
 * ```ts
 * import { serve } from 'nodepoll'
 * import { toDuplex } from 'nodepoll/stream'
 *
 * const server = await serve({
 *   host: '127.0.0.1',
 *   onConnect(connection) {
 *     const socket = toDuplex(connection)
 *     socket.on('error', () => {}).pipe(socket)
 *   },
 * })
 * await server.shutdown()
 * ```
 */
export function toDuplex(connection: Connection, options: SocketOptions = {}): Socket {
  if (!(connection instanceof Connection)) {
    throw invalidArgType('connection', 'a Connection', connection)
  }
  const socket = new Socket(options)._take(connection)
  socket.read(0)
  return socket
}
