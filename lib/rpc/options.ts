import type { Connection } from '../connection.ts'
import { invalidArgType, invalidArgValue, outOfRange } from '../errors.ts'
import {
  FRAME_MAX,
  PIECE_BYTES_MAX,
  RPC_BACKOFF_MAX_MS,
  RPC_BACKOFF_MS,
  RPC_CALLS,
  RPC_CALLS_MAX,
  RPC_CONCURRENCY,
  RPC_CONCURRENCY_MAX,
  RPC_CONNECT_MS,
  RPC_CONNECTIONS,
  RPC_CONNECTIONS_MAX,
  RPC_NAME_MAX,
  RPC_PING_MS,
} from '../internal/limits.ts'
import {
  checkFunction,
  checkInteger,
  checkMillis,
  checkObject,
  checkOptionalFunction,
  checkOptionalInteger,
  checkOptionalMillis,
} from '../internal/validate.ts'
import type { DialOptions, EventLoopOptions, ListenOptions } from '../options.ts'
import type { RpcCall } from './call.ts'
import { jsonCodec, type RpcCodec } from './codec.ts'
import { checkCodecName } from './preface.ts'

/** Bytes that the longest frame has at least, so that heads and errors have room. */
const FRAME_MAX_MIN = 64 << 10

/**
 * Answers calls: returns the reply or a promise of it. What it throws fails the call: an `RpcError`
 * with its code and message, anything else as `ERR_NODEPOLL_RPC_FAILED`, and `onError` is told.
 */
export type RpcHandler<Request = unknown, Reply = unknown> = (
  request: Request,
  call: RpcCall,
) => Reply | Promise<Reply>

/** Handlers by the names of their methods. Each says what it takes for a request. */
export interface RpcMethods {
  [method: string]: { answer(request: unknown, call: RpcCall): unknown }['answer']
}

/** Where and how to serve calls. */
export interface RpcServerOptions
  extends
    ListenOptions,
    Pick<
      EventLoopOptions,
      | 'connectionsMax'
      | 'idleTimeoutMs'
      | 'keepAlive'
      | 'noDelay'
      | 'readBufferMax'
      | 'writeBufferMax'
    > {
  /** How requests and replies become bytes; clients must have the same one. @default jsonCodec() */
  codec?: RpcCodec
  /** What can be called. */
  methods?: RpcMethods
  /** Answers calls of all other methods, which it finds in `call.method`. @default none */
  handler?(request: unknown, call: RpcCall): unknown
  /**
   * Calls of one connection that are under way, from 1 to 65,536. Clients are told, and send no
   * more; from one that does so all the same nothing more is read.
   *
   * @default 1024
   */
  concurrencyMax?: number
  /** Bytes of the longest frame that is taken, from 64 KiB to 256 MiB. @default 16 MiB */
  frameMax?: number
  /** How long a call may take whose client says nothing of that. @default 0, for ever */
  timeoutMs?: number
  /** How long a call may take, whatever its client says. @default 0, for ever */
  timeoutMaxMs?: number
  /**
   * Called with what goes wrong and no caller gets to know: what handlers threw, and peers that do
   * not keep to the protocol.
   *
   * @default process.emitWarning
   */
  onError?(error: unknown, connection: Connection | undefined): void
}

/** One of the places where a service is: a host and a port, or the path of a unix socket. */
export interface RpcTarget {
  /** A name or an address. @default 'localhost' */
  host?: string
  /** From 1 to 65535. Required, unless there is a path. */
  port?: number
  /** The path of a unix socket, in place of host and port. */
  path?: string
}

/** Whom to call, and how. */
export interface RpcClientOptions
  extends
    RpcTarget,
    Pick<
      DialOptions,
      'localAddress' | 'keepAlive' | 'noDelay' | 'readBufferMax' | 'writeBufferMax'
    > {
  /** In place of `host` and `port`, or `path`: several, which the connections are spread over. */
  targets?: readonly RpcTarget[]
  /**
   * How requests and replies become bytes; the server must have the same one.
   *
   * @default jsonCodec()
   */
  codec?: RpcCodec
  /** The most connections. They are opened as they are needed. @default 4 */
  connections?: number
  /** Calls that wait or are under way, beyond which new ones fail. @default 65,536 */
  callsMax?: number
  /** Bytes of the longest frame that is taken, from 64 KiB to 256 MiB. @default 16 MiB */
  frameMax?: number
  /** How long a call may take that says nothing of that. @default 0, for ever */
  timeoutMs?: number
  /** How long a connection may take until calls can be sent. @default 5000 */
  connectTimeoutMs?: number
  /**
   * Time without a byte after which a server is asked whether it is there. After as long again
   * without an answer the connection is given up. 0 is never.
   *
   * @default 10,000
   */
  pingMs?: number
  /**
   * Time until a target that could not be reached is tried again; doubled each time.
   *
   * @default 100
   */
  backoffMs?: number
  /** Up to so much. @default 10,000 */
  backoffMaxMs?: number
}

/** How one call is made. */
export interface RpcCallOptions {
  /** How long it may take. The server is told. @default the client's */
  timeoutMs?: number
  /** Until when it may take, in place of that: a `Date`, or milliseconds since the epoch. */
  deadline?: Date | number
  /** Cancels the call when it is aborted: it rejects with the reason, and the server is told. */
  signal?: AbortSignal
}

/** The options of a server, checked and complete. */
export interface Serving {
  readonly codec: RpcCodec
  readonly concurrencyMax: number
  readonly frameMax: number
  readonly timeoutMs: number
  readonly timeoutMaxMs: number
}

/** The options of a client, checked and complete. */
export interface Calling {
  readonly codec: RpcCodec
  readonly targets: readonly RpcTarget[]
  readonly connections: number
  readonly callsMax: number
  readonly frameMax: number
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly pingMs: number
  readonly backoffMs: number
  readonly backoffMaxMs: number
}

export function checkServerOptions(options: RpcServerOptions): Serving {
  const { methods = {}, handler, concurrencyMax } = checkObject(options, 'options')
  checkObject(methods, 'options.methods')
  for (const [name, method] of Object.entries(methods)) {
    checkFunction(method, `options.methods.${name}`)
    checkMethod(name, `options.methods.${name}`)
  }
  checkOptionalFunction(handler, 'options.handler')
  checkOptionalFunction(options.onError, 'options.onError')
  return {
    ...checkShared(options),
    concurrencyMax: checkOptionalInteger(
      concurrencyMax,
      'options.concurrencyMax',
      1,
      RPC_CONCURRENCY_MAX,
      RPC_CONCURRENCY,
    ),
    timeoutMaxMs: checkOptionalMillis(options.timeoutMaxMs, 'options.timeoutMaxMs'),
  }
}

export function checkClientOptions(options: RpcClientOptions): Calling {
  const { connections, callsMax, targets } = checkObject(options, 'options')
  const { connectTimeoutMs, pingMs, backoffMs, backoffMaxMs } = options
  return {
    ...checkShared(options),
    targets: targets === undefined ? [checkTarget(options, 'options')] : checkTargets(options),
    connections: checkOptionalInteger(
      connections,
      'options.connections',
      1,
      RPC_CONNECTIONS_MAX,
      RPC_CONNECTIONS,
    ),
    callsMax: checkOptionalInteger(callsMax, 'options.callsMax', 1, RPC_CALLS_MAX, RPC_CALLS),
    connectTimeoutMs: millis(connectTimeoutMs, 'options.connectTimeoutMs', RPC_CONNECT_MS),
    pingMs: millis(pingMs, 'options.pingMs', RPC_PING_MS),
    backoffMs: millis(backoffMs, 'options.backoffMs', RPC_BACKOFF_MS),
    backoffMaxMs: millis(backoffMaxMs, 'options.backoffMaxMs', RPC_BACKOFF_MAX_MS),
  }
}

/** The bytes of a method's name, which begin with its text. */
export function checkMethod(method: unknown, name: string): string {
  if (typeof method !== 'string') throw invalidArgType(name, 'of type string', method)
  const bytes = Buffer.byteLength(method)
  if (bytes > 0 && bytes <= RPC_NAME_MAX) return method
  throw outOfRange(`${name}.length`, `>= 1 and <= ${RPC_NAME_MAX} bytes`, bytes)
}

function checkShared(options: RpcServerOptions | RpcClientOptions): {
  codec: RpcCodec
  frameMax: number
  timeoutMs: number
} {
  const { codec = jsonCodec(), frameMax, timeoutMs } = options
  checkObject(codec, 'options.codec')
  checkCodecName(codec.name)
  checkFunction(codec.encode, 'options.codec.encode')
  checkFunction(codec.decode, 'options.codec.decode')
  return {
    codec,
    frameMax: checkOptionalInteger(
      frameMax,
      'options.frameMax',
      FRAME_MAX_MIN,
      PIECE_BYTES_MAX,
      FRAME_MAX,
    ),
    timeoutMs: checkOptionalMillis(timeoutMs, 'options.timeoutMs'),
  }
}

function checkTargets({ targets, host, port, path }: RpcClientOptions): readonly RpcTarget[] {
  if (!Array.isArray(targets)) throw invalidArgType('options.targets', 'an array', targets)
  if (targets.length === 0) throw invalidArgValue('options.targets', targets, 'must not be empty')
  if (host !== undefined || port !== undefined || path !== undefined) {
    throw invalidArgValue('options.targets', targets, 'excludes host, port and path')
  }
  return targets.map((target: RpcTarget, index) => checkTarget(target, `options.targets[${index}]`))
}

/** What else is wrong with it, the dial will say. */
function checkTarget(target: RpcTarget, name: string): RpcTarget {
  const { host, port, path } = checkObject(target, name)
  if (path !== undefined) return { path }
  const checked = checkInteger(port, `${name}.port`, 1, 65_535)
  return host === undefined ? { port: checked } : { host, port: checked }
}

function millis(value: number | undefined, name: string, fallback: number): number {
  return value === undefined ? fallback : checkMillis(value, name)
}
