export { NodepollContext } from './context.ts'
export { TransportError, type TransportErrorCode } from './errors.ts'
export { type ClientEvents, NodepollClient } from './nodepoll-client.ts'
export { NODEPOLL_TRANSPORT, NodepollServer, type ServerEvents } from './nodepoll-server.ts'
export type {
  NodepollClientOptions,
  NodepollServerOptions,
  Protocol,
  SharedOptions,
  TransportStatus,
} from './options.ts'
