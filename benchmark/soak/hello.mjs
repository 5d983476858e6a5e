// The first bytes of every client: who it is, and by its seed what it is going to do.

export const HELLO_BYTES = 16

const MAGIC = 0x6e70
const PROXIED = 1

/** `isProxied`: the server dials itself on behalf of a client. */
export function encodeHello({ kind, id, seed, isProxied = false }) {
  const bytes = Buffer.alloc(HELLO_BYTES)
  bytes.writeUInt16BE(MAGIC, 0)
  bytes.writeUInt8(kind, 2)
  bytes.writeUInt8(isProxied ? PROXIED : 0, 3)
  bytes.writeUInt32BE(id, 4)
  bytes.writeUInt32BE(seed, 8)
  bytes.writeUInt32BE(digest(bytes), 12)
  return bytes
}

/** `undefined` if these bytes were not made by `encodeHello`. */
export function decodeHello(bytes) {
  if (bytes.readUInt16BE(0) !== MAGIC || bytes.readUInt32BE(12) !== digest(bytes)) return undefined
  return {
    kind: bytes.readUInt8(2),
    isProxied: bytes.readUInt8(3) === PROXIED,
    id: bytes.readUInt32BE(4),
    seed: bytes.readUInt32BE(8),
  }
}

/** FNV-1a of all that comes before it. */
function digest(bytes) {
  let hash = 0x811c9dc5
  for (let at = 0; at < 12; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193)
  return hash >>> 0
}
