import type { Dispatcher } from '../internal/dispatcher.ts'

/** Who has output that leaves when the turn of the event loop is over. */
export interface Departing {
  /** Hands it over. */
  flush(): void
}

let due: Departing[] = []
let isWatching = false

/**
 * Flushes it once all has run that is due in this turn of the event loop, ticks and microtasks
 * included: what servers write in several of these, such as answers to requests that came together,
 * leaves in one call of the system.
 */
export function flushSoon(departing: Departing): void {
  if (due.push(departing) === 1) setImmediate(flushDue)
}

function flushDue(): void {
  const departing = due
  due = []
  for (const each of departing) each.flush()
}

/** Lets what was written leave when the process ends, too: with node:net it has left by then. */
export function leaveAtExit(dispatcher: Dispatcher): void {
  if (isWatching) return
  isWatching = true
  process.on('exit', () => {
    try {
      flushDue()
      dispatcher.handOver()
    } catch {
      // Without a driver nothing leaves, and the process ends as it was about to.
    }
  })
}
