/// <reference types="node" preserve="true" />

export { attach, type Attached, type AttachOptions } from './attach.ts'
export { connect, connect as createConnection } from './connect.ts'
export type {
  ConnectOptions,
  ServerListenOptions,
  ServerOptions,
  SocketConnectOptions,
  SocketOptions,
} from './options.ts'
export { createServer, Server } from './server.ts'
export { type ReadyState, Socket } from './socket.ts'
export { toDuplex } from './to-duplex.ts'
export { toWeb, type WebStreams } from './to-web.ts'
