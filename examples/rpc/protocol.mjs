// The protocol: JSON-RPC 2.0, each message in a frame that begins with its length.
import { lengthPrefixed } from 'nodepoll'

/** Four bytes of length, big endian, then so many bytes of JSON. */
const frames = lengthPrefixed({ lengthBytes: 4, limit: 1024 * 1024 })

/** Codes of errors: two of JSON-RPC's, two of our own. */
export const INVALID_PARAMS = -32602
export const METHOD_NOT_FOUND = -32601
export const FAILED = -32000
export const STOPPING = -32001

/** An `onRequest` that calls `handler` with each message. */
export function onMessage(handler) {
  return frames.onFrame((frame, connection, context) => {
    // The frame is a view of memory that is used again: it is parsed now, not after an await.
    return handler(JSON.parse(frame.toString()), connection, context)
  })
}

/** Sends a message; resolves when its peer can take more. */
export async function send({ writer }, message) {
  frames.write(writer, JSON.stringify({ jsonrpc: '2.0', ...message }))
  if (!writer.flush()) await writer.drained()
}
