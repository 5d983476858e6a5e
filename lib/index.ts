/// <reference types="node" preserve="true" />

export { type CloseCallback, type Connection } from './connection.ts'
export { dial } from './dial.ts'
export { type ErrorCode, isNodepollError, NodepollError } from './errors.ts'
export { createEventLoop, type EventLoop } from './event-loop.ts'
export {
  delimited,
  fixedSize,
  type Framing,
  lengthPrefixed,
  type LengthPrefixedOptions,
  type OnFrame,
} from './framing.ts'
export type { Address, InetAddress, UnixAddress } from './internal/address.ts'
export { type CloseReason } from './internal/close-reason.ts'
export { LinkBuffer } from './link-buffer.ts'
export { createListener, type Listener } from './listener.ts'
export type {
  ConnectionOptions,
  DialOptions,
  EventLoopOptions,
  KeepAlive,
  ListenOptions,
  OnDisconnect,
  OnError,
  OnPrepare,
  OnRequest,
  ShutdownOptions,
} from './options.ts'
export type { Reader } from './reader.ts'
export { configure, type RuntimeOptions, type RuntimeStats, stats } from './runtime.ts'
export { serve, type Server } from './server.ts'
export type { Writer } from './writer.ts'
