import { Connection } from '../connection.ts'
import {
  failure,
  isUnsupported,
  laneFailedError,
  type NodepollError,
  systemError,
} from '../errors.ts'
import { COMMAND_CANCEL_DIAL } from '../native/record.ts'
import { type Dialing, keepAliveWords } from '../options.ts'
import type { Address } from './address.ts'
import type { Handlers } from './handlers.ts'
import type { Lane } from './lane.ts'
import { currentRuntime } from './runtime.ts'

/** An address and a port, or the path of a unix socket. */
export interface Target {
  readonly host: string
  readonly port: number | undefined
}

/** What the operating system has said, or 0 if the I/O thread has failed. */
export interface Failure {
  readonly target: Target
  readonly errno: number
  readonly syscall: string
}

/** Who is told what has become of an attempt: once. */
export interface Outcome {
  connected(connection: Connection): void
  failed(failure: Failure): void
}

export function failureError({ target, errno, syscall }: Failure): NodepollError {
  if (errno === 0) return laneFailedError()
  if (target.port === undefined && isUnsupported(errno)) {
    return failure('ERR_NODEPOLL_UNSUPPORTED', 'this system does not know such sockets')
  }
  return systemError(errno, syscall, target.host, target.port)
}

/** One address that is being connected to. */
export class Attempt {
  readonly #target: Target
  readonly #options: Dialing
  readonly #handlers: Handlers
  readonly #outcome: Outcome
  #lane: Lane<Connection> | undefined
  #number = 0

  constructor(target: Target, options: Dialing, handlers: Handlers, outcome: Outcome) {
    this.#target = target
    this.#options = options
    this.#handlers = handlers
    this.#outcome = outcome
  }

  begin(): void {
    const { native, dispatcher } = currentRuntime()
    const { host, port } = this.#target
    const { localAddress, localPort, treatment } = this.#options
    const isPath = port === undefined
    const any = host.includes(':') ? '::' : '0.0.0.0'
    const number = dispatcher.nextNumber()
    const outcome = native.dial({
      dial: number >>> 0,
      host: isPath ? null : host,
      port: port ?? 0,
      path: isPath ? host : null,
      localHost: localAddress ?? (localPort === 0 ? null : any),
      localPort,
      noDelay: treatment.noDelay,
      keepAlive: keepAliveWords(treatment.keepAlive),
      window: this.#handlers.readBufferMax,
    })
    if (outcome.hasLoopFailed || outcome.errno !== 0) {
      this.#fail(outcome.errno, outcome.syscall)
      return
    }
    const lane = dispatcher.lanes[outcome.lane] as Lane<Connection>
    this.#lane = lane
    this.#number = number
    dispatcher.hold()
    const settle = (): void => {
      this.#lane = undefined
      dispatcher.dials.delete(number)
      dispatcher.unhold()
      dispatcher.yieldToContinuations()
    }
    dispatcher.dials.set(number, {
      lane,
      connected: (opened) => {
        settle()
        const own: Address = { family: 'unix', path: isPath ? host : '' }
        this.#outcome.connected(new Connection(this.#handlers, opened, own))
      },
      failed: (errno) => {
        settle()
        this.#fail(errno, 'connect')
      },
      laneFailed: (isOwn) => {
        if (!isOwn) return
        settle()
        this.#fail(0, '')
      },
    })
  }

  /** Gives it up. If it has succeeded meanwhile, that is told all the same. */
  cancel(): void {
    if (this.#lane === undefined) return
    this.#lane.commandNumber(COMMAND_CANCEL_DIAL, this.#number)
    currentRuntime().dispatcher.schedule()
  }

  #fail(errno: number, syscall: string): void {
    this.#outcome.failed({ target: this.#target, errno, syscall })
  }
}
