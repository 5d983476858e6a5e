/** Makes a Buffer over `n` bytes of memory from `at` on. */
type ViewOf = (memory: ArrayBufferLike, at: number, n: number) => Buffer

type BufferClass = new (memory: ArrayBufferLike, at: number, n: number) => Buffer

/** The class that Buffers are made of inside: what `Buffer.from(memory, at, n)` ends in. */
const Species = (Buffer as { readonly [Symbol.species]?: BufferClass })[Symbol.species]

/** Whether there is such a class, apart from `Buffer` itself, which warns when it is called. */
const hasSpecies =
  Species !== undefined &&
  (Species as unknown) !== Buffer &&
  (Species.prototype as unknown) === Buffer.prototype

/** A Buffer over a part of an ArrayBuffer. Without its species it costs three times as much. */
export const viewOf: ViewOf = hasSpecies
  ? (memory, at, n) => new (Species as BufferClass)(memory, at, n)
  : (memory, at, n) => Buffer.from(memory as ArrayBuffer, at, n)
