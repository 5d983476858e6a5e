import { invalidArgType } from '../errors.ts'
import { checkFunction, checkObject } from '../internal/validate.ts'

const NOTHING = Buffer.alloc(0)

/**
 * How requests and replies become bytes. Both ends of a connection have the same one, which they
 * tell each other by its name.
 */
export interface RpcCodec {
  /** From 1 to 8 characters of ASCII. */
  readonly name: string
  /** Whether what `decode` returns refers to the bytes that it was given. @default false */
  readonly hasViews?: boolean
  /** Bytes, or text that is sent as UTF-8. They may be used until the next call. */
  encode(value: unknown): Uint8Array | string
  /**
   * What the bytes mean. They are a view, valid until this returns; with `hasViews` until the
   * handler has returned its promise, or the continuation of the call has come to its next `await`.
   */
  decode(bytes: Buffer): unknown
}

/** What values are to {@link bytesCodec}. */
export interface BytesCodecOptions {
  /**
   * Whether requests and replies are views of the memory they were received in. Nothing is copied
   * then, but a handler may use its request only until it returns or first awaits, and a caller the
   * reply only until its next `await`.
   *
   * @default false
   */
  views?: boolean
}

/**
 * Bytes as they are: requests and replies are `Uint8Array`s, and Buffers when they arrive. Nothing
 * is the same as no bytes.
 *
 * @example
 * ```ts
 * import { bytesCodec, serveRpc } from 'nodepoll/rpc'
 *
 * const server = await serveRpc({
 *   host: '127.0.0.1',
 *   codec: bytesCodec({ views: true }),
 *   methods: { echo: (bytes: Buffer) => bytes },
 * })
 * await server.shutdown()
 * ```
 */
export function bytesCodec(options: BytesCodecOptions = {}): RpcCodec {
  const { views: hasViews = false } = checkObject(options, 'options')
  return {
    name: 'bytes',
    hasViews,
    encode(value) {
      if (value === undefined) return NOTHING
      if (value instanceof Uint8Array) return value
      throw invalidArgType('value', 'an instance of Buffer or Uint8Array', value)
    },
    decode: hasViews ? (bytes) => bytes : (bytes) => Buffer.from(bytes),
  }
}

/**
 * JSON, as `JSON.stringify` and `JSON.parse` have it: what is used without a `codec`. `undefined`
 * is sent as no bytes.
 */
export function jsonCodec(): RpcCodec {
  return {
    name: 'json',
    // Of functions and symbols JSON makes `undefined`, too.
    encode: (value) => JSON.stringify(value) ?? '',
    decode: (bytes) => (bytes.length === 0 ? undefined : JSON.parse(bytes.toString())),
  }
}

/** The two functions of `@msgpack/msgpack`, or of another package for MessagePack. */
export interface MessagePack {
  /** The bytes of a value. */
  encode(value: unknown): Uint8Array
  /** The value of bytes, which it may refer to. */
  decode(bytes: Uint8Array): unknown
}

/**
 * MessagePack, by the package that you give: `encode` and `decode` of `@msgpack/msgpack`.
 * `undefined` is sent as no bytes. The guide has an example.
 */
export function messagePackCodec({ decode, encode }: MessagePack): RpcCodec {
  checkFunction(decode, 'decode')
  checkFunction(encode, 'encode')
  return {
    name: 'msgpack',
    encode: (value) => (value === undefined ? NOTHING : encode(value)),
    // A copy: of bytes inside of a message, decoders give views of it.
    decode: (bytes) => (bytes.length === 0 ? undefined : decode(Uint8Array.from(bytes))),
  }
}
