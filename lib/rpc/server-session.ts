import type { Connection } from '../connection.ts'
import { isNodepollError } from '../errors.ts'
import { RPC_LINGER_MS, RPC_PREFACE_MS } from '../internal/limits.ts'
import { isThenable } from '../internal/handlers.ts'
import { Alarm } from './alarm.ts'
import { RpcCall } from './call.ts'
import { RpcError, rpcFailure } from './errors.ts'
import {
  CALL_HEAD_BYTES,
  HEAD_BYTES,
  KIND_CALL,
  KIND_CANCEL,
  KIND_FAILURE,
  KIND_GO_AWAY,
  nameBytesOf,
  payloadBytes,
  readUInt32,
  writeError,
  writeReply,
} from './frame.ts'
import type { MethodTable } from './methods.ts'
import type { Serving } from './options.ts'
import {
  checkSameCodec,
  decodePreface,
  MAGIC_BYTES,
  PREFACE_BYTES,
  type Stranger,
  strangerOf,
} from './preface.ts'
import { Session } from './session.ts'

/** What the connections of a server have in common. */
export interface Service extends Serving {
  readonly methods: MethodTable
  /** What a new client is told. */
  readonly preface: Buffer
  readonly sessions: Set<ServerSession>
  isDraining: boolean
  /** Tells of what no caller gets to know. */
  report(error: unknown, connection: Connection): void
}

/** One connection of a server: takes calls, and answers each once. */
export class ServerSession extends Session {
  readonly #service: Service
  /** Those that have no answer yet, and whose handlers have returned promises. */
  readonly #calls: Map<number, RpcCall> = new Map()
  /** Handlers that have not settled, of calls with an answer and without. */
  #underWay = 0
  #alarm: Alarm | undefined
  /** Ends the wait of `receive` for a handler, or for the peer to take its output. */
  #goOn: (() => void) | undefined
  #linger: NodeJS.Timeout | undefined
  #hasLingered = false

  constructor(connection: Connection, service: Service) {
    super(connection, service.codec, service.frameMax)
    this.#service = service
    this.isOver = !connection.isActive
    if (this.isOver) return
    service.sessions.add(this)
    connection.signal.addEventListener('abort', this)
  }

  /** Calls whose handlers have not settled. */
  get callCount(): number {
    return this.#underWay
  }

  /** Hears what the peer speaks, and says what we do. */
  async greet(): Promise<void> {
    const { connection } = this
    const { input, reader, writer } = connection
    connection.setReadTimeout(RPC_PREFACE_MS)
    try {
      await reader.wait(MAGIC_BYTES)
      const stranger = strangerOf(input.peek(MAGIC_BYTES))
      if (stranger !== undefined) {
        this.#turnAway(stranger)
        return
      }
      await reader.wait(PREFACE_BYTES)
    } catch (error) {
      if (!isNodepollError(error, 'ERR_NODEPOLL_READ_TIMEOUT')) throw error
      this.#turnAway({ error: silentPeer(error), answer: undefined })
      return
    }
    connection.setReadTimeout(0)
    writer.writeBinary(this.#service.preface)
    try {
      const preface = decodePreface(input.next(PREFACE_BYTES))
      checkSameCodec(this.codec.name, preface.codec)
      this.learn(preface)
    } catch (error) {
      this.endWith(error as RpcError)
      this.protocolFailed(error as RpcError)
      return
    }
    input.release()
    if (this.#service.isDraining) this.drain()
    this.flush()
  }

  /** Ends a connection whose peer would not understand why, but may understand an answer. */
  #turnAway({ error, answer }: Stranger): void {
    if (answer !== undefined) this.connection.write(answer)
    this.isOver = true
    void this.connection.close()
    this.protocolFailed(error)
  }

  /** The connection has ended: the listener of its signal. */
  handleEvent(): void {
    this.isOver = true
    this.#service.sessions.delete(this)
    this.#alarm?.cancel()
    clearTimeout(this.#linger)
    this.#goOn?.()
    if (this.#calls.size === 0) return
    const reason = rpcFailure('ERR_NODEPOLL_RPC_CONNECTION_LOST', 'the connection has ended', {
      cause: this.connection.signal.reason,
    })
    for (const call of this.#calls.values()) call._abort(reason)
    this.#calls.clear()
  }

  /** Begins no more calls, and has the client end the connection when it has all its answers. */
  drain(): void {
    if (this.isOver || this.peerFrameMax === 0 || this.#linger !== undefined) return
    const what = 'the server is shutting down'
    writeError(this.connection.writer, KIND_GO_AWAY, 0, 'ERR_NODEPOLL_RPC_DRAINING', what)
    this.flushSoon()
    this.#linger = setTimeout(() => {
      this.#hasLingered = true
      this.#leaveIfIdle()
    }, RPC_LINGER_MS)
  }

  #leaveIfIdle(): void {
    if (!this.#hasLingered || this.#underWay > 0 || this.isOver) return
    this.flush()
    this.isOver = true
    void this.connection.close()
  }

  override get takesFrames(): boolean {
    return this.#underWay < this.#service.concurrencyMax && !this.isFull && !this.isOver
  }

  protected override untilTaking(): Promise<void> | undefined {
    if (this.isOver) return undefined
    return new Promise((resolve) => (this.#goOn = resolve))
  }

  protected override drained(): void {
    this.#takeAgain()
  }

  protected override releaseInput(): void {
    this.connection.input.release()
  }

  #takeAgain(): void {
    const goOn = this.#goOn
    if (goOn === undefined || !this.takesFrames) return
    this.#goOn = undefined
    goOn()
  }

  protected override protocolFailed(error: RpcError): void {
    this.#service.report(error, this.connection)
  }

  protected override goneAway(code: string, message: string): void {
    this.#service.report(new RpcError(code, message), this.connection)
  }

  protected override takeOwn(
    kind: number,
    id: number,
    bytes: Buffer,
    at: number,
    end: number,
  ): boolean {
    if (kind === KIND_CALL) this.#takeCall(id, bytes, at, end)
    else if (kind === KIND_CANCEL) this.#takeCancel(id, bytes, at, end)
    else return false
    return true
  }

  #takeCancel(id: number, bytes: Buffer, at: number, end: number): void {
    this.checkBare(bytes, at, end)
    const reason = rpcFailure('ERR_NODEPOLL_RPC_CANCELED', 'the caller has cancelled the call')
    this.#calls.get(id)?._abort(reason)
  }

  #takeCall(id: number, bytes: Buffer, at: number, end: number): void {
    const service = this.#service
    const nameBytes = nameBytesOf(bytes, at, end, CALL_HEAD_BYTES)
    if (this.#calls.size > 0 && this.#calls.has(id)) {
      throw rpcFailure('ERR_NODEPOLL_RPC_MALFORMED', `call ${id} is under way already`)
    }
    if (service.isDraining) {
      this.#fail(id, 'ERR_NODEPOLL_RPC_DRAINING', 'the server is shutting down')
      return
    }
    const nameAt = at + CALL_HEAD_BYTES
    const method = service.methods.find(bytes, nameAt, nameBytes)
    if (method === undefined) {
      const name = bytes.toString('utf8', nameAt, nameAt + nameBytes)
      this.#fail(id, 'ERR_NODEPOLL_RPC_UNKNOWN_METHOD', `there is no method '${name}'`)
      return
    }
    const dueAt = this.#dueAt(readUInt32(bytes, at + HEAD_BYTES))
    let request: unknown
    try {
      request = this.codec.decode(bytes.subarray(nameAt + nameBytes, end))
    } catch (error) {
      this.#fail(id, 'ERR_NODEPOLL_RPC_CODEC', `the request: ${messageOf(error)}`)
      return
    }
    const call = new RpcCall(method.name, this.connection, id, dueAt)
    try {
      const result = method.handler(request, call)
      if (isThenable(result)) this.#await(call, result)
      else this.#answer(id, result)
    } catch (error) {
      this.#failWith(id, error)
    }
  }

  /** When a call is over of which a client says how long it may take. */
  #dueAt(timeoutMs: number): number {
    const { timeoutMs: usual, timeoutMaxMs: most } = this.#service
    const wanted = timeoutMs === 0 ? usual : timeoutMs
    const granted = most > 0 && (wanted === 0 || wanted > most) ? most : wanted
    return granted === 0 ? Infinity : performance.now() + granted
  }

  #await(call: RpcCall, result: PromiseLike<unknown>): void {
    this.#underWay++
    if (!this.isOver) {
      this.#calls.set(call._id, call)
      if (call._dueAt !== Infinity) this.#watch(call._dueAt)
    }
    result.then(
      (value) => this.#settled(call, value, undefined),
      (error: unknown) => this.#settled(call, undefined, { error }),
    )
  }

  #settled(call: RpcCall, value: unknown, failed: { readonly error: unknown } | undefined): void {
    this.#underWay--
    if (!call._isAnswered && !this.isOver) {
      call._isAnswered = true
      this.#calls.delete(call._id)
      if (call._isAborted) {
        this.#fail(call._id, 'ERR_NODEPOLL_RPC_CANCELED', 'the caller has cancelled the call')
      } else if (failed === undefined) this.#answer(call._id, value)
      else this.#failWith(call._id, failed.error)
    }
    if (this.#goOn !== undefined) this.#takeAgain()
    if (this.#hasLingered) this.#leaveIfIdle()
  }

  #watch(dueAt: number): void {
    this.#alarm ??= new Alarm((now) => this.#sweep(now))
    this.#alarm.set(dueAt)
  }

  /** Answers the calls whose time is over. */
  #sweep(now: number): number {
    let next = Infinity
    for (const call of this.#calls.values()) {
      if (call._dueAt > now) {
        next = Math.min(next, call._dueAt)
        continue
      }
      const what = 'the call has taken longer than it may'
      call._isAnswered = true
      this.#calls.delete(call._id)
      call._abort(rpcFailure('ERR_NODEPOLL_RPC_TIMEOUT', what))
      this.#fail(call._id, 'ERR_NODEPOLL_RPC_TIMEOUT', what)
    }
    return next
  }

  #answer(id: number, reply: unknown): void {
    if (this.isOver) return
    let payload: Uint8Array | string
    try {
      payload = this.codec.encode(reply)
    } catch (error) {
      this.#service.report(error, this.connection)
      this.#fail(id, 'ERR_NODEPOLL_RPC_CODEC', `the reply: ${messageOf(error)}`)
      return
    }
    const bytes = payloadBytes(payload)
    if (bytes + HEAD_BYTES > this.peerFrameMax) {
      const what = `a reply of ${bytes} bytes is longer than the caller takes`
      this.#fail(id, 'ERR_NODEPOLL_RPC_FRAME_LIMIT', what)
      return
    }
    try {
      writeReply(this.connection.writer, id, payload, bytes)
      this.written()
    } catch (error) {
      this.connection.destroy(error as Error)
    }
  }

  #failWith(id: number, error: unknown): void {
    if (error instanceof RpcError) {
      this.#fail(id, error.code, error.message)
      return
    }
    if (!this.isOver) this.#service.report(error, this.connection)
    this.#fail(id, 'ERR_NODEPOLL_RPC_FAILED', 'the handler has failed')
  }

  #fail(id: number, code: string, message: string): void {
    if (this.isOver) return
    try {
      writeError(this.connection.writer, KIND_FAILURE, id, code, message)
      this.written()
    } catch (error) {
      this.connection.destroy(error as Error)
    }
  }
}

function silentPeer(cause: unknown): RpcError {
  const what = `the peer has not said within ${RPC_PREFACE_MS} ms what it speaks`
  return rpcFailure('ERR_NODEPOLL_RPC_PREFACE', what, { cause })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
