import type { EventEmitter } from 'node:events'

import { untyped } from './untyped.ts'

const thrift = untyped<{
  readonly TFramedTransport: unknown
  readonly TBinaryProtocol: unknown
  createServer(service: unknown, handler: object, options: object): EventEmitter
  createClient(service: unknown, connection: object): { say(text: string): Promise<string> }
}>('thrift')
const { Connection } = untyped<{ Connection: new (socket: object, options: object) => object }>(
  'thrift/lib/nodejs/lib/thrift/connection.js',
)
/** What the compiler of thrift has made of testdata/thrift/Echo.thrift. */
const Echo = untyped('../../testdata/thrift/gen-nodejs/Echo.js')

const options = { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol }

/** A server that says everything loudly. */
export function thriftServer(): EventEmitter {
  return thrift.createServer(Echo, { say: (text: string) => text.toUpperCase() }, options)
}

/** A client over a socket. */
export function thriftClient(socket: object): { say(text: string): Promise<string> } {
  return thrift.createClient(Echo, new Connection(socket, options))
}
