import type { Connection } from '../connection.ts'
import { FRAME_WAIT_MIN, RPC_FLUSH_BYTES } from '../internal/limits.ts'
import type { RpcCodec } from './codec.ts'
import { RpcError, rpcFailure } from './errors.ts'
import {
  type FrameSink,
  HEAD_BYTES,
  KIND_GO_AWAY,
  KIND_PING,
  KIND_PONG,
  nameBytesOf,
  readUInt32,
  takeFrames,
  writeBare,
  writeError,
} from './frame.ts'
import type { Preface } from './preface.ts'

/** Those that have written since the last turn of the loop. */
let due: Session[] = []

/** When the microtasks have run: what all handlers and callers of a turn have written is there. */
function flushDue(): void {
  const now = due
  due = []
  for (const session of now) session.flush()
}

/** One connection, of either end, once both have sent their preface. */
export abstract class Session implements FrameSink {
  readonly connection: Connection
  readonly codec: RpcCodec
  /** The longest frame that the peer takes. */
  protected peerFrameMax = 0
  /** The peer does not take its output: nothing more is to be written. */
  protected isFull = false
  /** It has ended, or is about to. */
  protected isOver = false
  readonly #frameMax: number
  #isDue = false

  constructor(connection: Connection, codec: RpcCodec, frameMax: number) {
    this.connection = connection
    this.codec = codec
    this.#frameMax = frameMax
  }

  /** Whether frames are taken now. */
  abstract get takesFrames(): boolean

  /** Takes a frame of a kind that only this end knows. Whether there is one. */
  protected abstract takeOwn(
    kind: number,
    id: number,
    bytes: Buffer,
    at: number,
    end: number,
  ): boolean

  /** The peer begins no more calls, or says why it ends the connection. */
  protected abstract goneAway(code: string, message: string): void

  /** The peer did not keep to the protocol. */
  protected abstract protocolFailed(error: RpcError): void

  /** Output can be written again. */
  protected abstract drained(): void

  /** Settles when frames are taken again. */
  protected abstract untilTaking(): Promise<void> | undefined

  /** Gives back the memory of frames that were taken, as soon as nobody looks at them. */
  protected abstract releaseInput(): void

  /** What the peer has said of itself. */
  protected learn({ frameMax }: Preface): void {
    this.peerFrameMax = frameMax
  }

  /** An `onRequest`: takes the frames that are complete, and waits where that is necessary. */
  receive(): Promise<void> | undefined {
    const pending = this.#take()
    return pending === undefined ? undefined : this.#receiveSlowly(pending)
  }

  async #receiveSlowly(first: Promise<void>): Promise<void> {
    let pending: Promise<void> | undefined = first
    while (pending !== undefined) {
      this.releaseInput()
      await pending
      pending = this.#take()
    }
    this.releaseInput()
  }

  /** What has to be waited for before more can be taken, other than for input to come. */
  #take(): Promise<void> | undefined {
    if (this.isOver) return undefined
    const { input, reader, writer, isActive } = this.connection
    let needs: number
    try {
      needs = takeFrames(input, this.#frameMax, this)
    } catch (error) {
      this.#fail(error as RpcError)
      return undefined
    }
    if (writer.mallocLength > 0) this.flush()
    if (needs === 0) return this.untilTaking()
    // A large frame would not come if nobody waited for it.
    return needs > FRAME_WAIT_MIN && isActive ? reader.wait(needs) : undefined
  }

  takeFrame(bytes: Buffer, at: number, end: number): void {
    const kind = bytes[at] as number
    const id = readUInt32(bytes, at + 4)
    if (this.takeOwn(kind, id, bytes, at, end)) return
    if (kind === KIND_PING) {
      this.checkBare(bytes, at, end)
      writeBare(this.connection.writer, KIND_PONG, id)
      this.flushSoon()
    } else if (kind === KIND_GO_AWAY) {
      const { code, message } = errorIn(bytes, at, end)
      this.goneAway(code, message)
    } else if (kind === KIND_PONG) {
      // That it has come is all there is to it.
      this.checkBare(bytes, at, end)
    } else {
      throw rpcFailure('ERR_NODEPOLL_RPC_UNKNOWN_KIND', `a frame of the unknown kind ${kind}`)
    }
  }

  protected checkBare(bytes: Buffer, at: number, end: number): void {
    if (nameBytesOf(bytes, at, end, HEAD_BYTES) === 0 && end === at + HEAD_BYTES) return
    throw rpcFailure('ERR_NODEPOLL_RPC_MALFORMED', 'a frame has more than belongs to its kind')
  }

  /** After a frame was written: many of them do not wait for the end of the turn. */
  protected written(): void {
    if (this.connection.writer.mallocLength >= RPC_FLUSH_BYTES) this.flush()
    else this.flushSoon()
  }

  /** Sees to it that what was written leaves, with all else that is written in this turn. */
  protected flushSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    if (due.push(this) === 1) process.nextTick(flushDue)
  }

  flush(): void {
    this.#isDue = false
    const { connection } = this
    if (this.isOver || connection.writer.mallocLength === 0) return
    try {
      if (!connection.writer.flush() && !this.isFull) this.#choke()
    } catch (error) {
      connection.destroy(error as Error)
    }
  }

  /** The peer has to take what there is first. */
  #choke(): void {
    this.isFull = true
    const goOn = (): void => {
      this.isFull = false
      if (!this.isOver) this.drained()
    }
    this.connection.writer.drained().then(goOn, (error: Error) => this.connection.destroy(error))
  }

  /** Tells the peer why, and ends the connection. */
  protected endWith({ code, message }: RpcError): void {
    const { connection } = this
    try {
      writeError(connection.writer, KIND_GO_AWAY, 0, code, message)
      connection.writer.flush()
    } catch {
      // It is the end in any case.
    }
    this.isOver = true
    void connection.close()
  }

  #fail(error: RpcError): void {
    this.protocolFailed(error)
    // Without memory the last frame may be incomplete, and no other may follow it.
    if (error instanceof RpcError) this.endWith(error)
    else this.connection.destroy(error)
  }
}

/** The code and message of a frame that has them. */
export function errorIn(
  bytes: Buffer,
  at: number,
  end: number,
): { readonly code: string; readonly message: string } {
  const nameBytes = nameBytesOf(bytes, at, end, HEAD_BYTES)
  const start = at + HEAD_BYTES
  return {
    code: bytes.toString('latin1', start, start + nameBytes),
    message: bytes.toString('utf8', start + nameBytes, end),
  }
}
