// The bytes that the calls work on, and what is made of results to check them.

export const PIECE_BYTES = 64 * 1024

/** As much as one node holds, and no two neighbouring stretches of it are equal. */
export const piece = Buffer.from(
  Uint8Array.from({ length: PIECE_BYTES }, (_, at) => (at * 31) ^ (at >>> 8)),
)

/** The first and the last byte as one number. */
export function ends(bytes) {
  return bytes[0] * 256 + bytes[bytes.length - 1]
}

export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0)
}

/** The offsets at which parts of `bytes` begin, of as many as are complete in `total`. */
export function offsets(total, bytes) {
  return Array.from({ length: Math.floor(total / bytes) }, (_, index) => index * bytes)
}
