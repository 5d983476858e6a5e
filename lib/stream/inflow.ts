import type { Duplex } from 'node:stream'

import type { Connection } from '../connection.ts'
import { takeChunk } from './chunks.ts'
import { throwOutside } from './errors.ts'
import { CHUNK_BYTES_MAX } from './limits.ts'

/**
 * The input of a socket: pushed as long as the stream wants some, else left with the connection,
 * which makes the peer wait.
 *
 * The stream gets copies. Its consumers may keep a chunk, and parts of it, for as long as they
 * like; all connections receive into the same few ArrayBuffers, so that not even the garbage
 * collector knows of the parts.
 */
export class Inflow {
  readonly #stream: Duplex
  readonly #connection: Connection
  readonly #active: () => void
  #isWanted = false
  #isPushing = false
  #isPushDue = false
  #isLast = false
  #hasEnded = false

  /** `active` is called for whatever comes. */
  constructor(stream: Duplex, connection: Connection, active: () => void) {
    this.#stream = stream
    this.#connection = connection
    this.#active = active
  }

  /** Begins to take what comes. */
  begin(): void {
    this.#connection.setOnRequest(() => {
      if (this.#stream.destroyed) return
      this.#active()
      this.#push()
    })
    this.#connection._whenPeerEnds(() => this.end())
  }

  /** Whether nothing comes after what is there. */
  get isLast(): boolean {
    return this.#isLast
  }

  /** The stream wants more. */
  read(): void {
    this.#isWanted = true
    if (this.#connection.isPaused) this.#connection.resume()
    if (this.#isFlowing) this.#push()
    else this.#pushLater()
  }

  /** Nothing more comes. */
  end(): void {
    this.#isLast = true
    this.#push()
  }

  /**
   * Whether chunks go to listeners of 'data'. Those of 'readable' may read only once for each
   * event, which suffices with node:net: they would never hear of a second chunk that was pushed
   * before they have read the first one. So they get one a tick.
   */
  get #isFlowing(): boolean {
    return this.#stream.readableFlowing !== false
  }

  #pushLater(): void {
    if (this.#isPushDue) return
    this.#isPushDue = true
    process.nextTick(() => {
      this.#isPushDue = false
      this.#push()
    })
  }

  #push(): void {
    if (this.#isPushing || this.#isPushDue) return
    const { input } = this.#connection
    // Usually the stream wants more as soon as it has got all there is.
    if (input.length === 0 && !this.#isLast) return
    this.#isPushing = true
    try {
      while (this.#isWanted && input.length > 0 && !this.#stream.destroyed) {
        this.#isWanted = false
        const chunk = takeChunk(input, Math.min(input.length, CHUNK_BYTES_MAX))
        if (this.#stream.push(chunk)) this.#isWanted = true
        if (!this.#isFlowing) return this.#pushLater()
      }
      if (this.#isLast && input.length === 0) this.#finish()
    } catch (error) {
      throwOutside(error)
    } finally {
      this.#isPushing = false
      input.release()
    }
  }

  #finish(): void {
    if (this.#hasEnded || this.#stream.destroyed) return
    this.#hasEnded = true
    this.#stream.push(null)
    // Nobody may be reading, and 'end' comes to those who do.
    this.#stream.read(0)
  }
}
