import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import type { ExecutionContext } from 'ava'
import type { Address } from 'nodepoll'

import { within } from './deadline.ts'

export interface PeerOptions {
  /** Whether FIN from the other side leaves this one open. @default false */
  readonly allowHalfOpen?: boolean
}

/** The other side: a socket of node:net that keeps what it receives. */
export class Peer {
  readonly socket: Socket
  /** How it ended: with an error, or `undefined` after both FINs. */
  readonly closed: Promise<NodeJS.ErrnoException | undefined>
  /** Whether FIN has come. */
  hasEnded = false
  /** Bytes received so far, read or not. */
  bytesReceived = 0
  #chunks: Buffer[] = []
  #length = 0
  #error: NodeJS.ErrnoException | undefined
  #changed: (() => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => socket.once('close', () => resolve(this.#error)))
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.bytesReceived += chunk.length
      this.#changed?.()
    })
    socket.on('end', () => {
      this.hasEnded = true
      this.#changed?.()
    })
    socket.on('error', (error) => {
      this.#error = error
      this.#changed?.()
    })
    socket.on('close', () => this.#changed?.())
  }

  /** Connects; the socket is destroyed when the test ends. */
  static async connect(
    t: ExecutionContext<unknown>,
    address: Address,
    options: PeerOptions = {},
  ): Promise<Peer> {
    const { allowHalfOpen = false } = options
    const target =
      address.family === 'unix'
        ? { path: address.path }
        : { host: address.address, port: address.port }
    const socket = connect({ ...target, allowHalfOpen, noDelay: true })
    t.teardown(() => void socket.destroy())
    await within(once(socket, 'connect'), 'a connected socket')
    return new Peer(socket)
  }

  /** Writes; resolves when the kernel has it. */
  send(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }

  /** Waits for `n` bytes and takes them. */
  async read(n: number): Promise<Buffer> {
    await this.#until(() => this.#length >= n, `${n} bytes`)
    if (this.#length < n) throw this.#error ?? new Error(`the end came after ${this.#length} bytes`)
    const all = this.#takeAll()
    if (all.length > n) this.#chunks.push(all.subarray(n))
    this.#length = all.length - n
    return all.subarray(0, n)
  }

  /** Takes everything up to FIN; rejects when the connection is reset. */
  async readToEnd(): Promise<Buffer> {
    await this.#until(() => this.hasEnded, 'FIN')
    if (!this.hasEnded) throw this.#error ?? new Error('closed without FIN')
    const all = this.#takeAll()
    this.#length = 0
    return all
  }

  /** FIN. */
  end(bytes?: Uint8Array | string): void {
    if (bytes === undefined) this.socket.end()
    else this.socket.end(bytes)
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  #takeAll(): Buffer {
    const all =
      this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks)
    this.#chunks = []
    return all
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const isOver = (): boolean =>
      condition() || this.hasEnded || this.#error !== undefined || this.socket.destroyed
    const waiting = new Promise<void>((resolve) => {
      this.#changed = () => {
        if (isOver()) resolve()
      }
      this.#changed()
    })
    await within(waiting, `${what} at the peer, ${this.#length} bytes have come`)
  }
}
