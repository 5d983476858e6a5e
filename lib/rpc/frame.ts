import { RPC_MESSAGE_MAX, RPC_NAME_MAX } from '../internal/limits.ts'
import type { LinkBuffer } from '../link-buffer.ts'
import type { Writer } from '../writer.ts'
import { rpcFailure } from './errors.ts'

// What two ends say to each other once each has sent its preface: frames.
//
//  0        4      5      6      8        12
//  ┌────────┬──────┬──────┬──────┬────────┬─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─
//  │ length │ kind │ zero │ name │ id     │ CALL: timeout (4), method, payload
//  └────────┴──────┴──────┴──────┴────────┴─ ─ REPLY: payload
//                                              FAILURE, GO_AWAY: code, message
//
// Numbers are big endian. `length` is that of all that follows it, `name` the length of the method
// or the code. docs/guide/rpc.md tells it to those who write another end.

/** A client asks. The timeout is in milliseconds from its arrival; 0 is none. */
export const KIND_CALL = 1
/** A server answers a call. Each call is answered once: with this or with FAILURE. */
export const KIND_REPLY = 2
/** A server answers a call with an error. */
export const KIND_FAILURE = 3
/** A client has no use for the answer any more. The call is answered all the same. */
export const KIND_CANCEL = 4
/** Wants a PONG with its id. */
export const KIND_PING = 5
export const KIND_PONG = 6
/** No calls are begun any more. With another code than DRAINING the connection ends, for it. */
export const KIND_GO_AWAY = 7

/** Bytes of the length, which is not counted in it. */
export const LENGTH_BYTES = 4

/** Bytes that every frame has behind its length. */
export const HEAD_BYTES = 8

/** The same for a call. */
export const CALL_HEAD_BYTES = 12

/** Who gets the frames of a connection. */
export interface FrameSink {
  /** Whether it takes frames now. */
  readonly takesFrames: boolean
  /** Takes the frame whose bytes, without the length, begin at `at` and end at `end`. */
  takeFrame(bytes: Buffer, at: number, end: number): void
}

/**
 * Hands over all frames that are complete. Returns how many bytes have to be there for the next
 * one, or 0 if the sink takes no more. Throws for one that is too long or too short.
 */
export function takeFrames(input: LinkBuffer, limit: number, sink: FrameSink): number {
  for (;;) {
    if (!sink.takesFrames) return 0
    if (input.length < LENGTH_BYTES) return LENGTH_BYTES
    // All that lies in one piece is looked at through one view.
    const [piece] = input.chunks()
    const taken = takeFromPiece(piece as Buffer, limit, sink)
    if (taken > 0) {
      input.skip(taken)
      continue
    }
    if (!sink.takesFrames) return 0
    const bytes = LENGTH_BYTES + checkLength(input.peekUInt32BE(), limit)
    if (input.length < bytes) return bytes
    sink.takeFrame(input.next(bytes), LENGTH_BYTES, bytes)
  }
}

/** Hands over the frames of one piece. Returns where the last of them ends. */
function takeFromPiece(bytes: Buffer, limit: number, sink: FrameSink): number {
  let at = 0
  while (at + LENGTH_BYTES <= bytes.length && sink.takesFrames) {
    const start = at + LENGTH_BYTES
    const end = start + checkLength(readUInt32(bytes, at), limit)
    if (end > bytes.length) break
    sink.takeFrame(bytes, start, end)
    at = end
  }
  return at
}

function checkLength(length: number, limit: number): number {
  if (length > limit) {
    const what = `a frame of ${length} bytes is over the limit of ${limit}`
    throw rpcFailure('ERR_NODEPOLL_RPC_FRAME_LIMIT', what)
  }
  if (length >= HEAD_BYTES) return length
  throw rpcFailure('ERR_NODEPOLL_RPC_MALFORMED', `a frame has ${length} bytes only`)
}

/** Bytes of the name of a frame, which are there. */
export function nameBytesOf(bytes: Buffer, at: number, end: number, headBytes: number): number {
  const count = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
  if (bytes[at + 1] === 0 && at + headBytes + count <= end && count <= RPC_NAME_MAX) return count
  throw rpcFailure('ERR_NODEPOLL_RPC_MALFORMED', 'a frame has a head that cannot be')
}

export function readUInt32(bytes: Buffer, at: number): number {
  const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16)
  return (high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
}

export function setUInt32(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value >> 24
  bytes[at + 1] = value >> 16
  bytes[at + 2] = value >> 8
  bytes[at + 3] = value
}

/** The head of a call of a method, whose length, id and timeout are set for each. */
export function callHead(method: Buffer): Buffer {
  const head = Buffer.alloc(LENGTH_BYTES + CALL_HEAD_BYTES + method.length)
  head[4] = KIND_CALL
  head.writeUInt16BE(method.length, 6)
  head.set(method, LENGTH_BYTES + CALL_HEAD_BYTES)
  return head
}

const head = Buffer.alloc(LENGTH_BYTES + HEAD_BYTES)

function writeHead(
  writer: Writer,
  kind: number,
  id: number,
  nameBytes: number,
  rest: number,
): void {
  setUInt32(head, 0, HEAD_BYTES + nameBytes + rest)
  setUInt32(head, 4, (kind << 24) | nameBytes)
  setUInt32(head, 8, id)
  writer.writeBinary(head)
}

/** Writes a frame that is nothing but its head. */
export function writeBare(writer: Writer, kind: number, id: number): void {
  writeHead(writer, kind, id, 0, 0)
}

export function writeReply(
  writer: Writer,
  id: number,
  payload: Uint8Array | string,
  bytes: number,
): void {
  writeHead(writer, KIND_REPLY, id, 0, bytes)
  writePayload(writer, payload)
}

/** Writes a frame with a code and a message. */
export function writeError(
  writer: Writer,
  kind: number,
  id: number,
  code: string,
  message: string,
): void {
  const text = message.slice(0, RPC_MESSAGE_MAX)
  writeHead(writer, kind, id, code.length, Buffer.byteLength(text))
  writer.writeString(code, 'latin1').writeString(text)
}

export function writePayload(writer: Writer, payload: Uint8Array | string): void {
  if (typeof payload === 'string') writer.writeString(payload)
  else writer.writeBinary(payload)
}

export function payloadBytes(payload: Uint8Array | string): number {
  return typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
}
