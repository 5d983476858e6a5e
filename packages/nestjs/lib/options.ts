import type {
  ClientOptions as NestClientOptions,
  ConsumerDeserializer,
  ConsumerSerializer,
  ProducerDeserializer,
  ProducerSerializer,
} from '@nestjs/microservices'
import type { DialOptions, EventLoopOptions, ListenOptions } from 'nodepoll'

/**
 * How messages are put on the wire. `'nodepoll'`: a length of four bytes, then JSON; server and
 * client tell each other when one leaves, and when a caller wants no more. `'tcp'`: what Nest's own
 * TCP transport speaks, for peers that use that.
 */
export type Protocol = 'nodepoll' | 'tcp'

/** What `status` of server and client tells. */
export type TransportStatus = 'connected' | 'disconnected'

/** What server and client have in common. */
export interface SharedOptions {
  /** How messages are put on the wire. @default 'nodepoll' */
  protocol?: Protocol
  /** The most bytes of a message; in the protocol `'tcp'` the most UTF-16 units. @default 16 MiB */
  messageMax?: number
}

type Handlers = 'onPrepare' | 'onConnect' | 'onRequest' | 'onDisconnect' | 'onError'

/** Where a server listens and how it treats its connections: options of nodepoll's `serve()`. */
export interface NodepollServerOptions
  extends SharedOptions, ListenOptions, Omit<EventLoopOptions, Handlers | 'autoRelease'> {
  /** Where it listens. @default 'localhost', unless there is a path */
  host?: string
  /** 0 is for any port that is free. @default 3000, unless there is a path */
  port?: number
  /** How long `close()` waits for calls that are under way, in milliseconds. @default 10,000 */
  closeDeadlineMs?: number
  /** Calls that a peer may have under way; further ones are refused. @default 65,536 */
  callsMax?: number
  /** Makes messages of replies. @default Nest's */
  serializer?: ConsumerSerializer
  /** Makes requests and events of messages. @default Nest's */
  deserializer?: ConsumerDeserializer
}

/** Whom a client dials and how: options of nodepoll's `dial()`. */
export interface NodepollClientOptions
  extends SharedOptions, Omit<DialOptions, Handlers | 'autoRelease' | 'signal'> {
  /** Where the server listens. @default 'localhost', unless there is a path */
  host?: string
  /** @default 3000, unless there is a path */
  port?: number
  /** Milliseconds that one attempt to connect may take. @default 5,000 */
  timeoutMs?: number
  /** How often to dial again before calls fail for want of a connection. @default 5 */
  retryAttempts?: number
  /** Milliseconds before the first of these; they double each time. @default 100 */
  retryDelayMs?: number
  /** Makes messages of requests and events. @default Nest's */
  serializer?: ProducerSerializer
  /** Makes replies of messages. @default Nest's */
  deserializer?: ProducerDeserializer
}

/** Where Nest's own TCP transport listens and dials. */
const NEST_ENDPOINT = { host: 'localhost', port: 3000 }

/** The same with Nest's defaults, unless there is a path. */
export function withEndpoint<O extends { path?: string }>(options: O): O {
  return options.path === undefined ? { ...NEST_ENDPOINT, ...options } : options
}

/** What Nest's base classes look for serializers in. Their type knows its own transports alone. */
export function forNest(options: object): NestClientOptions['options'] {
  return options as NestClientOptions['options']
}
