import { isNodepollError, lengthPrefixed, type OnRequest, type Writer } from 'nodepoll'

import { malformed, TransporterError } from './errors.ts'
import { NAME_MAX } from './limits.ts'

/** What a frame holds, by its first byte: first what only transporters know, then Moleculer's. */
const TYPES = [
  'HELLO',
  'EVENT',
  'REQ',
  'RES',
  'DISCOVER',
  'INFO',
  'DISCONNECT',
  'HEARTBEAT',
  'PING',
  'PONG',
] as const

const HELLO = 0
const VERSION = 1
const METHOD = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE|PRI) /

const numbers: ReadonlyMap<string, number> = new Map(TYPES.map((type, number) => [type, number]))

/** How a node introduces itself; the first frame of both sides. */
export interface Hello {
  readonly version: number
  readonly nodeID: string
  /** Each start of a node has another one. */
  readonly instanceID: string
  /** Of topics: nodes of another namespace are none of ours. */
  readonly prefix: string
}

/** Called with each packet, which is its own copy. */
export type OnPacket<C> = (type: string, data: Buffer, context: C) => void

/** What is on the wire, in both directions. */
export interface Protocol {
  /** An `onRequest` of nodepoll. What is no frame throws, and so ends the connection. */
  onFrames<C>(onHello: (hello: Hello, context: C) => void, onPacket: OnPacket<C>): OnRequest<C>
  /** Writes the first frame without flushing it. */
  writeHello(writer: Writer, hello: Omit<Hello, 'version'>): void
  /** The same of a packet. Throws what writing does, and `ERR_OUT_OF_RANGE` for one too large. */
  write(writer: Writer, type: string, data: Uint8Array): void
}

/** Frames of a length of four bytes, a type of one byte, and the packet as it was serialized. */
export function makeProtocol(packetMax: number): Protocol {
  const frames = lengthPrefixed({ limit: packetMax + 1 })

  function write(writer: Writer, number: number, data: Uint8Array): void {
    if (data.length > packetMax) {
      const error = new RangeError(`a packet of ${data.length} bytes is over ${packetMax}`)
      throw Object.assign(error, { code: 'ERR_OUT_OF_RANGE' })
    }
    const before = writer.mallocLength
    try {
      writer.writeUInt32BE(data.length + 1)
      writer.writeUInt8(number)
      writer.writeBinary(data)
    } catch (error) {
      // What comes next would be taken for its rest.
      if (writer.mallocLength > before) writer.mallocAck(before)
      throw error
    }
  }

  return {
    onFrames<C>(onHello: (hello: Hello, context: C) => void, onPacket: OnPacket<C>): OnRequest<C> {
      const onRequest = frames.onFrame<C>((frame, _, context) => {
        const type = TYPES[frame[0] ?? TYPES.length]
        if (type === undefined) throw malformed('a frame is of no known type')
        if (type === 'HELLO') onHello(parseHello(frame.subarray(1)), context)
        // Who deserializes it may take its time, or keep a part.
        else onPacket(type, Buffer.from(frame.subarray(1)), context)
      })
      return (connection, context) => {
        try {
          return onRequest(connection, context)
        } catch (cause) {
          if (!isNodepollError(cause, 'ERR_NODEPOLL_FRAME_LIMIT')) throw cause
          const { input } = connection
          // Letters are a very large length, and what the peer meant by them helps more.
          if (!METHOD.test(input.peek(Math.min(input.length, 8)).toString('latin1'))) throw cause
          const message = 'the peer speaks HTTP; this is the port of a Moleculer node'
          throw new TransporterError('ERR_NODEPOLL_MOLECULER_HTTP_PEER', message, { cause })
        }
      }
    },
    writeHello(writer, hello) {
      write(writer, HELLO, Buffer.from(JSON.stringify({ version: VERSION, ...hello })))
    },
    write(writer, type, data) {
      const number = numbers.get(type)
      if (number === undefined) throw new TypeError(`'${type}' is no packet of Moleculer`)
      write(writer, number, data)
    },
  }
}

function parseHello(bytes: Buffer): Hello {
  let hello: Hello
  try {
    hello = JSON.parse(bytes.toString()) as Hello
  } catch (cause) {
    throw malformed('a node introduces itself without JSON', { cause })
  }
  if (hello?.version !== VERSION) throw malformed(`a node speaks version ${hello?.version}`)
  const { nodeID, instanceID, prefix } = hello
  for (const name of [nodeID, instanceID, prefix]) {
    if (typeof name !== 'string' || name.length > NAME_MAX) {
      throw malformed('a node introduces itself without its names')
    }
  }
  return hello
}
