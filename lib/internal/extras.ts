import type { CloseCallback } from '../connection.ts'
import type { Reader } from '../reader.ts'
import type { Ending } from './ending.ts'
import type { Handler } from './handlers.ts'
import type { Waits } from './waits.ts'

/** What most connections never have, made for those that do: idle ones are counted in bytes. */
export class Extras {
  reader: Reader | undefined
  /** What reads and drains wait for. */
  waits: Waits | undefined
  /** Close callbacks, and who waits for the end. */
  ending: Ending<CloseCallback> | undefined
  aborter: AbortController | undefined
  /** In place of the handlers of the loop. */
  onRequest: Handler | undefined
  onDisconnect: Handler | undefined
  /** Told of FIN by a stream, which lives on after it. */
  onEnd: (() => void) | undefined
  /** In place of the idle timeout of the loop. */
  idleMs: number | undefined
  /** Up to where the driver has been asked to tell of its progress. */
  acknowledged = 0
  /** What `closeWrite()` has returned. */
  writeClosed: Promise<void> | undefined
}
