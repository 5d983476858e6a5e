// Frames for the servers whose runtime has none of its own: a length of 4 bytes (big-endian), then
// as many bytes. Plain JavaScript that runs in Node, Bun and Deno alike.

const HEADER_BYTES = 4

/** Answers each frame of one connection by a new frame with the same payload. */
export class FrameReplies {
  /** What has come of a frame that is not complete. */
  #parts = []
  #length = 0
  /** How many bytes tell more than is known. */
  #needed = HEADER_BYTES

  /**
   * The replies to the frames that `chunk` completes, in one piece, or `undefined` if there are
   * none. The chunk is the caller's again.
   */
  toReplies(chunk) {
    const length = this.#length + chunk.length
    if (length < this.#needed) return this.#keep(chunk)
    const bytes = this.#parts.length === 0 ? chunk : concat([...this.#parts, chunk], length)
    this.#parts = []
    this.#length = 0
    this.#needed = HEADER_BYTES
    const end = endOfFrames(bytes)
    if (end < bytes.length) this.#keep(bytes.subarray(end))
    return end === 0 ? undefined : encodeReplies(bytes, end)
  }

  #keep(bytes) {
    // Not `slice`, which copies nothing of a Buffer.
    this.#parts.push(new Uint8Array(bytes))
    this.#length += bytes.length
    const [first] = this.#parts
    this.#needed = HEADER_BYTES
    if (first.length >= HEADER_BYTES) this.#needed += readLength(first, 0)
  }
}

/** Where the last complete frame ends. */
function endOfFrames(bytes) {
  let end = 0
  while (end + HEADER_BYTES <= bytes.length) {
    const next = end + HEADER_BYTES + readLength(bytes, end)
    if (next > bytes.length) break
    end = next
  }
  return end
}

/** All replies in one piece, so that one call sends them. */
function encodeReplies(bytes, end) {
  const replies = allocate(end)
  let at = 0
  while (at < end) {
    const length = readLength(bytes, at)
    const payload = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length)
    writeLength(replies, at, payload.length)
    replies.set(payload, at + HEADER_BYTES)
    at += HEADER_BYTES + payload.length
  }
  return replies
}

function readLength(bytes, at) {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

function writeLength(bytes, at, length) {
  bytes[at] = length >>> 24
  bytes[at + 1] = length >>> 16
  bytes[at + 2] = length >>> 8
  bytes[at + 3] = length
}

function concat(parts, length) {
  const all = allocate(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** From the pool of small Buffers where there is one: that is faster than memory of its own. */
function allocate(length) {
  return globalThis.Buffer?.allocUnsafe(length) ?? new Uint8Array(length)
}
