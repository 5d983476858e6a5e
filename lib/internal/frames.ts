import type { Connection } from '../connection.ts'
import { isNodepollError } from '../errors.ts'
import type { OnFrame } from '../framing.ts'
import type { LinkBuffer } from '../link-buffer.ts'
import type { Writer } from '../writer.ts'
import { FRAME_WAIT_MIN, FRAMES_RELEASE_BYTES } from './limits.ts'

/** What a framing has to know of its frames. */
export interface Codec {
  /** Consumes a frame, or returns `undefined` if it is not complete. */
  take(connection: Connection): Buffer | undefined
  /** Bytes that `input` must have before `take` has to be tried again. */
  needs(input: LinkBuffer): number
  write(writer: Writer | LinkBuffer, payload: Uint8Array | string, bytes: number): void
}

/** Handles what is complete, up to the first handler that has not settled, whose promise it is. */
export function handleFrames<C>(
  codec: Codec,
  handler: OnFrame<C>,
  connection: Connection,
  context: C,
): Promise<void> | undefined {
  const { input, writer } = connection
  let unreleased = 0
  for (;;) {
    const frame = codec.take(connection)
    if (frame === undefined) break
    const written = writer.mallocLength
    const pending = handler(frame, connection, context)
    if (pending !== undefined) {
      // The earlier replies need not wait, unless this handler is in the middle of its own.
      if (written > 0 && writer.mallocLength === written) writer.flush()
      return pending
    }
    unreleased += frame.length
    if (unreleased >= FRAMES_RELEASE_BYTES) {
      unreleased = 0
      input.release()
    }
    if (!connection.isActive && !takesReplies(writer)) return undefined
  }
  if (writer.mallocLength > 0) writer.flush()
  return largeFrame(codec, connection)
}

/** Waits for a large frame, which would not come if nobody did. */
function largeFrame(codec: Codec, connection: Connection): Promise<void> | undefined {
  const needs = codec.needs(connection.input)
  if (needs <= FRAME_WAIT_MIN || !connection.isActive) return undefined
  return connection.reader.wait(needs)
}

/** Handles the rest, each frame after the one before has settled. */
export async function handleRest<C>(
  first: Promise<void>,
  codec: Codec,
  handler: OnFrame<C>,
  connection: Connection,
  context: C,
): Promise<void> {
  let pending: Promise<void> | undefined = first
  while (pending !== undefined) {
    await pending
    connection.input.release()
    if (!takesReplies(connection.writer)) return
    pending = handleFrames(codec, handler, connection, context)
  }
}

/** Flushes. Whether the connection is ours to answer: the peer may have ended it, but not we. */
function takesReplies(writer: Writer): boolean {
  try {
    writer.flush()
    return true
  } catch (error) {
    if (isNodepollError(error, 'ERR_NODEPOLL_CONNECTION_CLOSED')) return false
    throw error
  }
}
