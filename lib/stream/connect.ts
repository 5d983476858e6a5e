import { normalize } from './arguments.ts'
import type { ConnectOptions } from './options.ts'
import { Socket } from './socket.ts'

/**
 * Makes a socket and connects it, as `net.connect()` does. Also exported as `createConnection`.
 *
 * @example
 * ```ts
 * import { connect } from 'nodepoll/stream'
 *
 * function ask(port: number): void {
 *   const socket = connect({ host: '127.0.0.1', port }, () => socket.end('hello\n'))
 *   socket.setEncoding('utf8').on('data', (text: string) => console.log(text))
 *   socket.on('error', (error) => console.error(error.message))
 * }
 * ```
 */
export function connect(options: ConnectOptions, listener?: () => void): Socket
export function connect(port: number | string, host: string, listener?: () => void): Socket
export function connect(port: number | string, listener?: () => void): Socket
export function connect(path: string, listener?: () => void): Socket
export function connect(...args: unknown[]): Socket {
  const { options } = normalize<ConnectOptions>(args)
  const socket = new Socket(options)
  if (options.timeout) socket.setTimeout(options.timeout)
  return socket.connect(...(args as [ConnectOptions]))
}
