import type { Connection } from '../connection.ts'
import { RPC_CONCURRENCY_MAX } from '../internal/limits.ts'
import type { RpcCodec } from './codec.ts'
import { RpcError, rpcFailure } from './errors.ts'
import {
  HEAD_BYTES,
  KIND_CANCEL,
  KIND_FAILURE,
  KIND_PING,
  KIND_REPLY,
  LENGTH_BYTES,
  nameBytesOf,
  payloadBytes,
  setUInt32,
  writeBare,
  writePayload,
} from './frame.ts'
import type { PendingCall } from './pending-call.ts'
import { checkSameCodec, decodePreface, MAGIC_BYTES, PREFACE_BYTES, strangerOf } from './preface.ts'
import { errorIn, Session } from './session.ts'

/** Bits of an identifier that tell a call's place; those above them tell who has it there. */
const PLACE_BITS = 16
const PLACE_MASK: number = (1 << PLACE_BITS) - 1

/** Of the latter one bit is left alone: so identifiers are small integers, and no objects. */
const NUMBER_MASK: number = PLACE_MASK >> 1

/** Looks without a byte from the server after which the connection is given up. */
const QUIET_LOOKS_MAX = 2

/** Who has a client's connections. */
export interface SessionOwner {
  /** Calls can be sent. */
  ready(session: ClientSession): void
  /** There is room for calls, perhaps for some that wait. */
  hasRoom(): void
  /** A call was not begun: it is to be sent elsewhere. */
  refused(call: PendingCall, error: RpcError): void
  /** No more calls are to be sent over it. It goes on with those that it has. */
  leaving(session: ClientSession, error: RpcError): void
  /** It has ended, and its calls have failed. */
  lost(session: ClientSession, error: unknown): void
}

/** One connection of a client: sends calls, and settles each when it is answered. */
export class ClientSession extends Session {
  /** Calls that the server has not answered. */
  underWay = 0
  /** It has been answered: the server is of use. */
  hasWorked = false
  readonly #owner: SessionOwner
  /** The server has said what it speaks. */
  wasReady = false
  #isLeaving = false
  /** How many calls the server has under way at a time. */
  #room = 0
  /** Calls by their places. */
  readonly #calls: (PendingCall | undefined)[] = []
  readonly #places: number[] = []
  #number = 0
  #error: unknown
  #seen = 0
  #quietLooks = 0
  /** How often frames were taken, and whether their memory is about to be given back. */
  #batches = 0
  #releases = false
  #isReffed = true

  constructor(connection: Connection, codec: RpcCodec, frameMax: number, owner: SessionOwner) {
    super(connection, codec, frameMax)
    this.#owner = owner
    connection.signal.addEventListener('abort', this)
  }

  /** Whether a call can be sent. */
  get takesCalls(): boolean {
    return this.underWay < this.#room && !this.isFull && !this.#isLeaving && !this.isOver
  }

  /** Sends a call. It is there for as long as the server has not answered it, settled or not. */
  send(call: PendingCall): void {
    const { head } = call
    let payload: Uint8Array | string
    try {
      payload = this.codec.encode(call.request)
    } catch (error) {
      call.reject(
        rpcFailure('ERR_NODEPOLL_RPC_CODEC', messageOf('request', error), { cause: error }),
      )
      return
    }
    const bytes = payloadBytes(payload)
    const length = head.length - LENGTH_BYTES + bytes
    if (length > this.peerFrameMax) {
      const what = `a frame of ${length} bytes is longer than the server takes`
      call.reject(rpcFailure('ERR_NODEPOLL_RPC_FRAME_LIMIT', what))
      return
    }
    this.#enter(call)
    setUInt32(head, 0, length)
    setUInt32(head, 8, call.id)
    setUInt32(head, 12, timeoutOf(call.dueAt))
    try {
      const { writer } = this.connection
      writer.writeBinary(head)
      writePayload(writer, payload)
      this.written()
    } catch (error) {
      this.connection.destroy(error as Error)
    }
  }

  #enter(call: PendingCall): void {
    const place = this.#places.pop() ?? this.#calls.length
    this.#number = (this.#number + 1) & NUMBER_MASK
    call.id = (this.#number << PLACE_BITS) | place
    call.session = this
    this.#calls[place] = call
    if (this.underWay++ === 0 && this.#isReffed) this.connection.ref()
  }

  /** Takes out the call that the server has answered. */
  #leave(id: number): PendingCall {
    const place = id & PLACE_MASK
    const call = this.#calls[place]
    if (call === undefined || call.id !== id) {
      throw rpcFailure('ERR_NODEPOLL_RPC_MALFORMED', `an answer to call ${id}, which there is not`)
    }
    this.#calls[place] = undefined
    this.#places.push(place)
    call.session = undefined
    this.hasWorked = true
    if (--this.underWay === 0) this.connection.unref()
    return call
  }

  /** The call has settled without an answer. */
  cancel(call: PendingCall): void {
    if (this.isOver) return
    writeBare(this.connection.writer, KIND_CANCEL, call.id)
    this.flushSoon()
  }

  /** Calls that have not settled. */
  *waiting(): IterableIterator<PendingCall> {
    for (const call of this.#calls) if (call !== undefined && !call.isSettled) yield call
  }

  /** Whether it keeps the process alive while the server has calls to answer. */
  setReffed(isReffed: boolean): void {
    this.#isReffed = isReffed
    if (this.underWay === 0) return
    if (isReffed) this.connection.ref()
    else this.connection.unref()
  }

  /** Asks a server that has been silent since the last look, and gives it up after the next. */
  look(): void {
    const { bytesRead } = this.connection
    if (bytesRead !== this.#seen) {
      this.#seen = bytesRead
      this.#quietLooks = 0
      return
    }
    if (++this.#quietLooks <= QUIET_LOOKS_MAX - 1) {
      writeBare(this.connection.writer, KIND_PING, 0)
      this.flushSoon()
      return
    }
    this.destroy(rpcFailure('ERR_NODEPOLL_RPC_CONNECTION_LOST', 'the server has fallen silent'))
  }

  /** Ends the connection now. */
  destroy(error: RpcError): void {
    this.#error ??= error
    this.connection.destroy(error)
  }

  /** Ends the connection, over which nothing is to come any more. */
  close(): Promise<void> {
    this.flush()
    this.isOver = true
    // Who waits for the end is not to find the process ended before.
    if (this.#isReffed) this.connection.ref()
    return this.connection.close()
  }

  /** The connection has ended: the listener of its signal. What had come by then was taken. */
  handleEvent(): void {
    const isByUs = this.isOver
    this.isOver = true
    const error = this.#error ?? this.connection.signal.reason
    const calls = this.#calls.splice(0)
    this.underWay = 0
    const isOurs = error instanceof RpcError && error.code === 'ERR_NODEPOLL_RPC_CONNECTION_LOST'
    const lost = isOurs
      ? error
      : rpcFailure('ERR_NODEPOLL_RPC_CONNECTION_LOST', 'the connection has ended', { cause: error })
    for (const call of calls) {
      if (call === undefined) continue
      call.session = undefined
      if (!call.isSettled) call.reject(lost)
    }
    this.#owner.lost(this, error)
    // After a FIN of the server it would go on until all output has left.
    if (!isByUs) this.connection.destroy()
  }

  override get takesFrames(): boolean {
    return !this.isOver
  }

  override receive(): Promise<void> | undefined {
    if (!this.wasReady && !this.#greet()) return undefined
    const pending = super.receive()
    if (this.codec.hasViews) this.releaseInput()
    if (this.#isLeaving) this.#closeIfIdle()
    else if (this.underWay < this.#room) this.#owner.hasRoom()
    return pending
  }

  #closeIfIdle(): void {
    if (this.underWay === 0 && !this.isOver) void this.close()
  }

  /** Hears what the server says of itself, once it has. */
  #greet(): boolean {
    const { input } = this.connection
    if (input.length < MAGIC_BYTES) return false
    try {
      const stranger = strangerOf(input.peek(MAGIC_BYTES))
      if (stranger !== undefined) throw stranger.error
      if (input.length < PREFACE_BYTES) return false
      const preface = decodePreface(input.next(PREFACE_BYTES))
      checkSameCodec(this.codec.name, preface.codec)
      this.learn(preface)
      this.#room = Math.min(preface.concurrencyMax, RPC_CONCURRENCY_MAX)
    } catch (error) {
      this.destroy(error as RpcError)
      return false
    }
    this.wasReady = true
    this.connection.unref()
    this.#owner.ready(this)
    return true
  }

  /** With views: when the continuations of those that have their replies now have run. */
  protected override releaseInput(): void {
    if (!this.codec.hasViews) {
      this.connection.input.release()
      return
    }
    this.#batches++
    if (this.#releases) return
    this.#releases = true
    this.#releaseSoon()
  }

  #releaseSoon(): void {
    const batches = this.#batches
    queueMicrotask(() => {
      // More have got their replies since: their continuations come after this one.
      if (this.#batches !== batches) {
        this.#releaseSoon()
        return
      }
      this.#releases = false
      this.connection.input.release()
    })
  }

  protected override takeOwn(
    kind: number,
    id: number,
    bytes: Buffer,
    at: number,
    end: number,
  ): boolean {
    if (kind === KIND_REPLY) this.#takeReply(id, bytes, at, end)
    else if (kind === KIND_FAILURE) this.#takeFailure(id, bytes, at, end)
    else return false
    return true
  }

  #takeReply(id: number, bytes: Buffer, at: number, end: number): void {
    if (nameBytesOf(bytes, at, end, HEAD_BYTES) > 0) {
      throw rpcFailure('ERR_NODEPOLL_RPC_MALFORMED', 'a reply has a name')
    }
    const call = this.#leave(id)
    if (call.isSettled) return
    let reply: unknown
    try {
      reply = this.codec.decode(bytes.subarray(at + HEAD_BYTES, end))
    } catch (error) {
      call.reject(rpcFailure('ERR_NODEPOLL_RPC_CODEC', messageOf('reply', error), { cause: error }))
      return
    }
    call.resolve(reply)
  }

  #takeFailure(id: number, bytes: Buffer, at: number, end: number): void {
    const { code, message } = errorIn(bytes, at, end)
    const call = this.#leave(id)
    if (call.isSettled) return
    const error = new RpcError(code, message)
    if (code === 'ERR_NODEPOLL_RPC_DRAINING') this.#owner.refused(call, error)
    else call.reject(error)
  }

  protected override goneAway(code: string, message: string): void {
    if (code === 'ERR_NODEPOLL_RPC_DRAINING') {
      this.#isLeaving = true
      this.#owner.leaving(this, new RpcError(code, message))
      this.#closeIfIdle()
    } else {
      this.destroy(new RpcError(code, message))
    }
  }

  protected override protocolFailed(error: RpcError): void {
    this.#error ??= error
  }

  protected override drained(): void {
    this.#owner.hasRoom()
  }

  protected override untilTaking(): undefined {
    return undefined
  }
}

/** What a frame says of how long a call may take. */
function timeoutOf(dueAt: number): number {
  if (dueAt === Infinity) return 0
  return Math.max(1, Math.ceil(dueAt - performance.now()))
}

function messageOf(what: string, error: unknown): string {
  return `the ${what}: ${error instanceof Error ? error.message : String(error)}`
}
