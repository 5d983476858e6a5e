/// <reference types="node" preserve="true" />

export type { RpcCall } from './call.ts'
export { connectRpc, type RpcClient } from './client.ts'
export {
  bytesCodec,
  type BytesCodecOptions,
  jsonCodec,
  type MessagePack,
  messagePackCodec,
  type RpcCodec,
} from './codec.ts'
export { RpcError, type RpcErrorCode } from './errors.ts'
export type {
  RpcCallOptions,
  RpcClientOptions,
  RpcHandler,
  RpcMethods,
  RpcServerOptions,
  RpcTarget,
} from './options.ts'
export { type RpcServer, serveRpc } from './server.ts'
