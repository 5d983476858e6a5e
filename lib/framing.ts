import { Connection } from './connection.ts'
import { failure, invalidArgType, invalidArgValue, outOfRange } from './errors.ts'
import { type Codec, handleFrames, handleRest } from './internal/frames.ts'
import { LENGTH_FIELDS } from './internal/length-fields.ts'
import { FRAME_HEADER_MAX, FRAME_MAX, PIECE_BYTES_MAX } from './internal/limits.ts'
import {
  checkFunction,
  checkInteger,
  checkObject,
  checkOneOf,
  checkOptionalBoolean,
  checkOptionalInteger,
} from './internal/validate.ts'
import { LinkBuffer } from './link-buffer.ts'
import type { OnRequest } from './options.ts'
import { Writer } from './writer.ts'

/** Called for each complete frame. The next one waits until it has settled. */
export type OnFrame<C = undefined> = (
  frame: Buffer,
  connection: Connection,
  context: C,
) => void | Promise<void>

/**
 * How a stream of bytes is cut into messages: made by {@link lengthPrefixed}, {@link delimited} or
 * {@link fixedSize}, and used for any number of connections.
 */
export interface Framing {
  /**
   * An `onRequest` that calls `handler` with each complete frame, in order. A frame is a view,
   * valid until the handler has settled; copy what is to be kept. What handlers have written is
   * flushed when no complete frame is left, all at once, and after each that returned a promise.
   * Bytes of an incomplete frame stay unread; one of more than 4 KiB is waited for, so that it may
   * exceed `readBufferMax`. After `close()` no more frames are handled.
   *
   * A frame over the limit throws `ERR_NODEPOLL_FRAME_LIMIT`, which ends the connection as anything
   * that a handler throws.
   */
  onFrame<C = undefined>(handler: OnFrame<C>): OnRequest<C>
  /**
   * Waits for a frame, for code that reads by itself: a client, or a handler that is a
   * conversation. The frame is a view, valid until the next `read` of this connection; input that
   * was consumed before is released.
   *
   * Rejects with what `connection.reader.wait` does (`ERR_NODEPOLL_EOF` when the peer has ended;
   * what there is of a frame then remains in `connection.input`), and with
   * `ERR_NODEPOLL_FRAME_LIMIT`.
   *
   * @example
   * ```ts
   * import { type Connection, lengthPrefixed } from 'nodepoll'
   *
   * const frames = lengthPrefixed()
   *
   * async function ask(connection: Connection, question: string): Promise<string> {
   *   frames.write(connection.writer, question)
   *   connection.writer.flush()
   *   return (await frames.read(connection)).toString()
   * }
   * ```
   */
  read(connection: Connection): Promise<Buffer>
  /**
   * Writes a frame, without flushing it. Its bytes are the caller's again once it returns.
   *
   * Throws `ERR_OUT_OF_RANGE` for a payload that a frame cannot have, and what writing throws; then
   * nothing of the frame is written.
   */
  write(writer: Writer | LinkBuffer, payload: Uint8Array | string): void
}

/** How a frame tells its length. */
export interface LengthPrefixedOptions {
  /** Bytes of the length field. @default 4 */
  lengthBytes?: 1 | 2 | 4 | 8
  /** The order of its bytes, `'BE'` being that of networks. @default 'BE' */
  endianness?: 'BE' | 'LE'
  /**
   * Bytes in front of the length field. They are part of the frame: see `keepHeader`.
   *
   * @default 0
   */
  offset?: number
  /**
   * What has to be added to the length to have the number of bytes that follow the field: −4 where
   * a length of 4 bytes counts itself.
   *
   * @default 0
   */
  adjustment?: number
  /**
   * Whether frames begin with their header (what comes before the length, and the length itself),
   * in `onFrame` and `read`. For `write` the payload then begins with the bytes before the length.
   *
   * @default true if there is an `offset`
   */
  keepHeader?: boolean
  /** The most bytes that may follow the length field. @default 16 MiB */
  limit?: number
}

/**
 * Frames that begin with their length.
 *
 * The options follow what Netty's `LengthFieldBasedFrameDecoder` can describe.
 *
 * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for wrong options.
 *
 * @example
 * ```ts
 * import { lengthPrefixed, serve } from 'nodepoll'
 *
 * const frames = lengthPrefixed({ lengthBytes: 4, limit: 1 << 20 })
 * const server = await serve({
 *   onRequest: frames.onFrame((frame, { writer }) => frames.write(writer, `got ${frame.length}`)),
 * })
 * await server.shutdown()
 * ```
 */
export function lengthPrefixed(options: LengthPrefixedOptions = {}): Framing {
  checkObject(options, 'options')
  const { lengthBytes = 4, endianness = 'BE' } = options
  const field = LENGTH_FIELDS[checkInteger(lengthBytes, 'options.lengthBytes', 1, 8)]
  if (field === undefined) throw outOfRange('options.lengthBytes', '1, 2, 4 or 8', lengthBytes)
  checkOneOf(endianness, 'options.endianness', ['BE', 'LE'])
  const offset = checkOptionalInteger(options.offset, 'options.offset', 0, FRAME_HEADER_MAX, 0)
  const adjustment = checkOptionalInteger(
    options.adjustment,
    'options.adjustment',
    -FRAME_HEADER_MAX,
    FRAME_HEADER_MAX,
    0,
  )
  const keepHeader = checkOptionalBoolean(options.keepHeader, 'options.keepHeader', offset > 0)
  if (!keepHeader && offset > 0) {
    throw invalidArgValue('options.keepHeader', false, 'must be true if there is an offset')
  }
  const limit = checkLimit(options.limit)
  const { peek, write, max } = field[endianness]
  const header = offset + lengthBytes
  const skipped = keepHeader ? 0 : header

  /** Bytes of the next frame with its header, or of the header if that is not there. */
  const needs = (input: LinkBuffer): number => {
    if (input.length < header) return header
    const body = peek(input, offset) + adjustment
    if (body > limit || body < 0) throw limitError(body, limit)
    return header + body
  }
  return new CodecFraming({
    take({ input }) {
      if (input.length < header) return undefined
      const bytes = needs(input)
      if (input.length < bytes) return undefined
      input.skip(skipped)
      return input.next(bytes - skipped)
    },
    needs,
    write(writer, payload, bytes) {
      const body = bytes - offset
      const length = body - adjustment
      if (body < 0 || body > limit || length < 0 || length > max) {
        throw outOfRange('payload.length', `>= ${offset} and <= ${limit + offset}`, bytes)
      }
      if (offset === 0) {
        write(writer, length)
        writePayload(writer, payload)
        return
      }
      const whole = typeof payload === 'string' ? Buffer.from(payload) : payload
      writer.writeBinary(whole.subarray(0, offset))
      write(writer, length)
      writer.writeBinary(whole.subarray(offset))
    },
  })
}

/**
 * Frames that end with a delimiter, which is no part of them. A payload that contains it becomes
 * more than one frame.
 *
 * @param options.delimiter what ends a frame, as text or bytes. Default: a line feed.
 * @param options.limit the most bytes of a frame. Default: 16 MiB.
 * @throws `ERR_INVALID_ARG_VALUE` for an empty delimiter, `ERR_OUT_OF_RANGE` for a wrong limit.
 *
 * @example
 * ```ts
 * import { delimited, serve } from 'nodepoll'
 *
 * const lines = delimited({ delimiter: '\r\n', limit: 8192 })
 * const server = await serve({
 *   onRequest: lines.onFrame((line, { writer }) => lines.write(writer, line.toString().trim())),
 * })
 * await server.shutdown()
 * ```
 */
export function delimited(
  options: { delimiter?: string | Uint8Array; limit?: number } = {},
): Framing {
  checkObject(options, 'options')
  const { delimiter: given = '\n' } = options
  checkBytes(given, 'options.delimiter')
  const delimiter = Buffer.from(given)
  if (delimiter.length === 0) {
    throw invalidArgValue('options.delimiter', given, 'must not be empty')
  }
  const limit = checkLimit(options.limit)
  /** Of inputs with a part of a frame: up to where it has been searched, in bytes ever consumed. */
  const searched = new WeakMap<LinkBuffer, number>()
  return new CodecFraming({
    take(connection) {
      const { input } = connection
      const consumed = connection.bytesRead - input.length
      const from = Math.max(0, (searched.get(input) ?? 0) - consumed - delimiter.length + 1)
      const at = input.indexOf(delimiter, from)
      const length = at < 0 ? input.length - delimiter.length + 1 : at
      if (length > limit) throw limitError(length, limit)
      if (at < 0) {
        searched.set(input, consumed + input.length)
        return undefined
      }
      const frame = input.next(at)
      input.skip(delimiter.length)
      return frame
    },
    needs: (input) => input.length + 1,
    write(writer, payload, bytes) {
      if (bytes > limit) throw outOfRange('payload.length', `<= ${limit}`, bytes)
      writePayload(writer, payload)
      writer.writeBinary(delimiter)
    },
  })
}

/**
 * Frames of one length.
 *
 * @throws `ERR_OUT_OF_RANGE` unless `bytes` is between 1 and 256 MiB.
 *
 * @example
 * ```ts
 * import { fixedSize, serve } from 'nodepoll'
 *
 * const blocks = fixedSize(16)
 * const server = await serve({
 *   onRequest: blocks.onFrame((block, { writer }) => blocks.write(writer, block)),
 * })
 * await server.shutdown()
 * ```
 */
export function fixedSize(bytes: number): Framing {
  checkInteger(bytes, 'bytes', 1, PIECE_BYTES_MAX)
  return new CodecFraming({
    take: ({ input }) => (input.length < bytes ? undefined : input.next(bytes)),
    needs: () => bytes,
    write(writer, payload, length) {
      if (length !== bytes) throw outOfRange('payload.length', `${bytes}`, length)
      writePayload(writer, payload)
    },
  })
}

class CodecFraming implements Framing {
  readonly #codec: Codec

  constructor(codec: Codec) {
    this.#codec = codec
  }

  onFrame<C>(handler: OnFrame<C>): OnRequest<C> {
    checkFunction(handler, 'handler')
    const codec = this.#codec
    return (connection, context) => {
      const pending = handleFrames(codec, handler, connection, context)
      if (pending === undefined) return
      return handleRest(pending, codec, handler, connection, context)
    }
  }

  async read(connection: Connection): Promise<Buffer> {
    if (!(connection instanceof Connection)) {
      throw invalidArgType('connection', 'a Connection', connection)
    }
    const { input, reader } = connection
    input.release()
    for (;;) {
      const frame = this.#codec.take(connection)
      if (frame !== undefined) return frame
      await reader.wait(this.#codec.needs(input))
    }
  }

  write(writer: Writer | LinkBuffer, payload: Uint8Array | string): void {
    if (!(writer instanceof Writer || writer instanceof LinkBuffer)) {
      throw invalidArgType('writer', 'a Writer or a LinkBuffer', writer)
    }
    checkBytes(payload, 'payload')
    const bytes = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
    const before = writer.mallocLength
    try {
      this.#codec.write(writer, payload, bytes)
    } catch (error) {
      // Without memory for all of it, what comes next would be taken for its rest.
      if (writer.mallocLength > before) writer.mallocAck(before)
      throw error
    }
  }
}

function writePayload(writer: Writer | LinkBuffer, payload: Uint8Array | string): void {
  if (typeof payload === 'string') writer.writeString(payload)
  else writer.writeBinary(payload)
}

function checkBytes(value: unknown, name: string): void {
  if (typeof value === 'string' || value instanceof Uint8Array) return
  throw invalidArgType(name, 'of type string or an instance of Uint8Array', value)
}

function checkLimit(limit: number | undefined): number {
  return checkOptionalInteger(limit, 'options.limit', 1, PIECE_BYTES_MAX, FRAME_MAX)
}

function limitError(bytes: number, limit: number): Error {
  const what = bytes < 0 ? 'has a length below zero' : `is over the limit of ${limit} bytes`
  return failure('ERR_NODEPOLL_FRAME_LIMIT', `a frame of ${bytes} bytes ${what}`)
}
