// The frames of nodepoll/rpc, for the ends that are on node:net: as docs/guide/rpc.md has them.

export const PREFACE_BYTES = 24
export const CALL = 1
export const REPLY = 2

/** Bytes of a reply before its payload. */
export const REPLY_HEAD_BYTES = 12

export function preface(concurrency = 0) {
  const bytes = Buffer.alloc(PREFACE_BYTES)
  bytes.write('nprc', 'latin1')
  bytes[4] = 1
  bytes.writeUInt32BE(16 << 20, 8)
  bytes.writeUInt32BE(concurrency, 12)
  bytes.write('bytes', 16, 'latin1')
  return bytes
}

export function readUInt32(bytes, at) {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

export function setUInt32(bytes, at, value) {
  bytes[at] = value >> 24
  bytes[at + 1] = value >> 16
  bytes[at + 2] = value >> 8
  bytes[at + 3] = value
}

/** Cuts what arrives into frames, without copying what arrives whole. */
export class Frames {
  #rest
  #needed = PREFACE_BYTES
  #isGreeted = false

  /** Calls `take(bytes, at, end)` with each frame of `data` from behind its length. */
  push(data, take) {
    let bytes = data
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, data])
      this.#rest = undefined
    }
    if (bytes.length < this.#needed) return this.#keep(bytes, 0, this.#needed)
    let at = 0
    if (!this.#isGreeted) {
      this.#isGreeted = true
      at = PREFACE_BYTES
    }
    this.#needed = 4
    while (at + 4 <= bytes.length) {
      const end = at + 4 + readUInt32(bytes, at)
      if (end > bytes.length) return this.#keep(bytes, at, end - at)
      take(bytes, at + 4, end)
      at = end
    }
    if (at < bytes.length) this.#keep(bytes, at, 4)
  }

  #keep(bytes, at, needed) {
    this.#rest = bytes.subarray(at)
    this.#needed = needed
  }
}
