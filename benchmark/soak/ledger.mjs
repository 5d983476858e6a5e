// What may be called for a connection, when, and how often: one ledger keeps count for one.
import { violate } from './violation.mjs'
import { watch } from './watchdog.mjs'

const ledgers = new WeakMap()

/** Ledgers of connections whose life is not over, or not told to its end. */
export const openLedgers = new Set()

export class Ledger {
  /** Says in messages which connection this is. */
  label
  /** `reason.by` must be one of these. */
  reasons = ['peer', 'error']
  #connection
  #random
  /** The handler that is running or awaited. */
  #running
  #disconnects = 0
  #requests = 0
  /** What onRequest had before it when it was called last, and whether it took of it. */
  #bytesRead = -1
  #hasConsumed = true
  #endsByUs = false
  /** Errors that handlers and callbacks of ours throw, which onError must get. */
  #thrown = new Set()
  #callbackCount = 0
  /** Close callbacks that are due: last added first, those that came during the calls after. */
  #due = []
  #dueLate = []
  #isCallingBack = false
  #callback
  #reason
  #closedReason

  static of(connection) {
    return ledgers.get(connection)
  }

  constructor(connection, label, random) {
    if (ledgers.has(connection)) violate(`${label()}: onConnect is called twice`)
    ledgers.set(connection, this)
    openLedgers.add(this)
    this.label = label
    this.#connection = connection
    this.#random = random
    void connection.closed.then((reason) => this.#closed(reason))
    for (let count = random.integer(1, 3); count > 0; count--) this.addCloseCallback()
  }

  /** Calls a handler, which nothing else may overlap. */
  call(name, handler) {
    if (this.#running !== undefined) this.#fail(`${name} overlaps ${this.#running}`)
    if (this.#isCallingBack) this.#fail(`${name} is called after the end`)
    this.#running = name
    let result
    try {
      result = handler()
    } finally {
      if (!(result instanceof Promise)) this.#running = undefined
    }
    if (!(result instanceof Promise)) return result
    return result.finally(() => (this.#running = undefined))
  }

  /** onRequest: in addition, it may not be called again for bytes that it has left. */
  request(handler) {
    const { bytesRead, input } = this.#connection
    if (input.length === 0) this.#fail('onRequest is called without input')
    if (!this.#hasConsumed && bytesRead === this.#bytesRead) {
      this.#fail('onRequest is called again for the same bytes')
    }
    this.#requests++
    this.#bytesRead = bytesRead
    this.#hasConsumed = true
    const before = bytesRead - input.length
    const note = () => {
      this.#hasConsumed = this.#connection.bytesRead - input.length !== before
    }
    const result = this.call('onRequest', handler)
    if (result instanceof Promise) return result.finally(note)
    note()
    return result
  }

  /** Another handler may look at the same bytes. */
  handlerChanged() {
    this.#bytesRead = -1
  }

  disconnected() {
    this.#disconnects++
    if (this.#disconnects > 1) this.#fail('onDisconnect is called twice')
    if (this.#endsByUs) this.#fail('onDisconnect is called for an end of our own')
    if (this.#isCallingBack) this.#fail('onDisconnect is called after the end')
    if (this.#connection.isActive) this.#fail('isActive is true in onDisconnect')
    if (!this.#connection.signal.aborted) this.#fail('the signal is not aborted in onDisconnect')
  }

  /** onError was called. */
  failed(error) {
    if (!this.#thrown.delete(error)) this.#fail(`onError gets ${error?.stack ?? error}`)
  }

  /** We are about to end the connection. */
  endsByUs() {
    this.#endsByUs = true
  }

  /** An error that is about to be thrown, and has to come to onError once. */
  willThrow(what) {
    const error = new Error(`${what}, which is meant to fail`)
    this.#thrown.add(error)
    return error
  }

  addCloseCallback() {
    const number = ++this.#callbackCount
    ;(this.#isCallingBack ? this.#dueLate : this.#due).push(number)
    const isAsync = this.#random.chance(0.2)
    const throws = this.#random.chance(0.02)
    const call = (_, reason) => {
      this.#calledBack(number, reason)
      if (!isAsync) return this.#callbackEnds(throws)
      return new Promise((done) => setImmediate(done)).then(() => this.#callbackEnds(throws))
    }
    this.#connection.addCloseCallback(call)
  }

  /** For messages: what is known of the connection. */
  describe() {
    const { isActive, isPaused, bytesRead, input } = this.#connection
    const reason = this.#closedReason
    const state = [
      isActive ? 'active' : 'inactive',
      isPaused ? 'paused' : '',
      this.#running === undefined ? '' : `${this.#running} is pending`,
      reason === undefined ? 'not closed' : `closed by ${reason.by} ${reason.error ?? ''}`.trim(),
      `${this.#requests} requests`,
      `${bytesRead} bytes read, ${input.length} unread`,
      `${this.#due.length + this.#dueLate.length} of ${this.#callbackCount} close callbacks due`,
      this.#thrown.size > 0 ? `${this.#thrown.size} errors not told` : '',
    ]
    return `${this.label()}: ${state.filter((part) => part !== '').join(', ')}`
  }

  #calledBack(number, reason) {
    if (this.#running !== undefined) {
      this.#fail(`a close callback is called while ${this.#running} is pending`)
    }
    if (this.#callback !== undefined) this.#fail('two close callbacks overlap')
    const expected = this.#due.pop() ?? this.#dueLate.shift()
    if (expected !== number) {
      const turn = expected === undefined ? 'none is due' : `it is the turn of number ${expected}`
      this.#fail(`close callback ${number} is called, but ${turn}`)
    }
    this.#callback = number
    if (!this.#isCallingBack) this.#ended(reason)
    if (reason !== this.#reason) this.#fail('close callbacks are given different reasons')
    if (this.#random.chance(0.05) && this.#callbackCount < 6) this.addCloseCallback()
  }

  /** All that must be so when the first close callback is called. */
  #ended(reason) {
    this.#isCallingBack = true
    this.#reason = reason
    const { by, error } = reason
    if (this.#connection.isActive) this.#fail('isActive is true after the end')
    if (!this.reasons.includes(by)) {
      const expected = this.reasons.join(' or ')
      this.#fail(`it ended by ${by} (${error?.stack ?? 'no error'}), not by ${expected}`)
    }
    const isByPeer = by === 'peer' || (by === 'error' && !this.#endsByUs)
    if (isByPeer && this.#disconnects !== 1) this.#fail('onDisconnect is not called')
    this.#expectClosed()
  }

  #expectClosed() {
    let code
    try {
      this.#connection.write('too late')
    } catch (error) {
      code = error.code
    }
    if (code !== 'ERR_NODEPOLL_CONNECTION_CLOSED') this.#fail(`a late write gives ${code}`)
  }

  #callbackEnds(throws) {
    this.#callback = undefined
    if (this.#due.length + this.#dueLate.length === 0) this.#finishSoon()
    if (throws) throw this.willThrow('a close callback')
  }

  /** Once nobody is called any more, the ledger is complete as soon as `closed` has settled. */
  #finishSoon() {
    setImmediate(() => {
      if (this.#random.chance(0.05)) {
        const late = new Promise((done) => this.#connection.addCloseCallback(() => done()))
        void watch(late, () => `${this.label()}: a close callback that was added after the end`)
      }
      this.#isComplete()
    })
  }

  #closed(reason) {
    if (this.#closedReason !== undefined) this.#fail('closed settles twice')
    this.#closedReason = reason
    if (this.#reason !== undefined && reason !== this.#reason) {
      this.#fail('closed and the close callbacks are given different reasons')
    }
    this.#isComplete()
  }

  #isComplete() {
    const isCalledBack = this.#isCallingBack && this.#due.length + this.#dueLate.length === 0
    const isIdle = this.#callback === undefined && this.#running === undefined
    if (!isCalledBack || !isIdle || this.#closedReason === undefined) return
    if (this.#thrown.size > 0) this.#fail('onError was not told of an error')
    openLedgers.delete(this)
  }

  #fail(message) {
    violate(`${this.label()}: ${message}`)
  }
}
