import { ReadableStream, WritableStream, type ReadableByteStreamController } from 'node:stream/web'

import { Connection } from '../connection.ts'
import { invalidArgType, isNodepollError } from '../errors.ts'
import type { CloseReason } from '../internal/close-reason.ts'
import { takeInto } from './chunks.ts'
import { CHUNK_BYTES_MAX } from './limits.ts'

/** A connection as WHATWG streams: what {@link toWeb} gives. */
export interface WebStreams {
  /** A byte stream: a reader of mode 'byob' reads into its own memory. Ends at the peer's FIN. */
  readonly readable: ReadableStream<Uint8Array>
  /** Takes bytes. Closing it sends FIN, aborting it resets the connection. */
  readonly writable: WritableStream<Uint8Array>
  /** Settles when the connection has ended, and tells why. Never rejects. */
  readonly closed: Promise<CloseReason>
}

/**
 * A connection as a pair of WHATWG streams. They take over as {@link toDuplex} does: FIN of the
 * peer ends `readable` alone, and the connection is open until `writable` is closed as well, or one
 * of them is cancelled or aborted.
 *
 * @example
 * ```ts
 * import { dial } from 'nodepoll'
 * import { toWeb } from 'nodepoll/stream'
 *
 * async function readInto(port: number, memory: ArrayBuffer): Promise<Uint8Array | undefined> {
 *   const { readable, writable } = toWeb(await dial({ host: '127.0.0.1', port }))
 *   const reader = readable.getReader({ mode: 'byob' })
 *   const { value } = await reader.read(new Uint8Array(memory))
 *   await reader.cancel()
 *   await writable.abort()
 *   return value
 * }
 * ```
 */
export function toWeb(connection: Connection): WebStreams {
  if (!(connection instanceof Connection)) {
    throw invalidArgType('connection', 'a Connection', connection)
  }
  // Only so that FIN does not end the other direction: reads tell of it.
  connection._whenPeerEnds(() => {})
  return {
    readable: readableOf(connection),
    writable: writableOf(connection),
    closed: connection.closed,
  }
}

function readableOf(connection: Connection): ReadableStream<Uint8Array> {
  const { input, reader } = connection
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      try {
        if (input.length === 0) await reader.wait(1)
      } catch (error) {
        if (!isNodepollError(error, 'ERR_NODEPOLL_EOF')) throw error
        controller.close()
        // A reader that waits with memory of its own gets that back.
        controller.byobRequest?.respond(0)
        return
      }
      give(connection, controller)
    },
    cancel() {
      connection.destroy()
    },
  })
}

/** Hands over what has come: into the memory of who reads, or as a copy. */
function give({ input }: Connection, controller: ReadableByteStreamController): void {
  const request = controller.byobRequest
  if (request?.view) {
    const { buffer, byteOffset, byteLength } = request.view
    const size = Math.min(input.length, byteLength)
    takeInto(input, new Uint8Array(buffer, byteOffset, size))
    input.release()
    request.respond(size)
    return
  }
  // Not out of the pool of small Buffers: the stream takes the whole ArrayBuffer over.
  const bytes = new Uint8Array(Math.min(input.length, CHUNK_BYTES_MAX))
  takeInto(input, bytes)
  input.release()
  controller.enqueue(bytes)
}

function writableOf(connection: Connection): WritableStream<Uint8Array> {
  const { writer } = connection
  return new WritableStream({
    async write(bytes: Uint8Array) {
      if (!connection.write(bytes)) await writer.drained()
    },
    close() {
      return connection.closeWrite()
    },
    abort() {
      connection.reset()
    },
  })
}
