const TABLE_BYTES = 1_048_573 // a prime: no size of a node or a chunk divides it

/** Numbers that are the same in every run. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A size from 1 to `max`; every order of magnitude is as likely as the next. */
export function randomSize(random: () => number, max: number): number {
  return Math.max(1, Math.floor(max ** random()))
}

const table = makeTable()

function makeTable(): Buffer {
  const random = randomFrom(1)
  const bytes = Buffer.alloc(TABLE_BYTES)
  for (let index = 0; index < bytes.length; index++) bytes[index] = random() * 256
  return bytes
}

/**
 * An endless stream of bytes in which every position differs from its neighbours, and every seed
 * from the next: what is lost, doubled, moved or another's does not match.
 */
export class Stream {
  /** Bytes taken or matched so far. */
  position = 0
  readonly #from: number

  constructor(seed: number) {
    this.#from = (seed * 7919) % TABLE_BYTES
  }

  /** The next `n` bytes. */
  take(n: number): Buffer {
    const bytes = Buffer.allocUnsafe(n)
    this.#forEachPart(n, (part, at) => part.copy(bytes, at))
    return bytes
  }

  /** Whether these are the next bytes; if not, nothing is taken. */
  matches(bytes: Uint8Array): boolean {
    const before = this.position
    let isEqual = true
    this.#forEachPart(bytes.length, (part, at) => {
      isEqual &&= part.equals(bytes.subarray(at, at + part.length))
    })
    if (!isEqual) this.position = before
    return isEqual
  }

  /** Goes `n` bytes on. */
  skip(n: number): void {
    this.position += n
  }

  /** The next `n` bytes, without taking them. */
  peek(n: number, offset = 0): Buffer {
    const { position } = this
    this.position += offset
    const bytes = this.take(n)
    this.position = position
    return bytes
  }

  #forEachPart(n: number, use: (part: Buffer, at: number) => void): void {
    let at = 0
    while (at < n) {
      const from = (this.#from + this.position) % TABLE_BYTES
      const part = table.subarray(from, Math.min(TABLE_BYTES, from + n - at))
      use(part, at)
      at += part.length
      this.position += part.length
    }
  }
}
