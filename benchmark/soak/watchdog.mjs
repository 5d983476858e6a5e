// What is awaited must settle in time; what does not is named.
import { violate } from './violation.mjs'

const LIMIT_SECONDS = 30
const SHOWN_MAX = 10

const pending = new Map()
// Counted, not read from a clock, so that a process that was stopped for a while accuses nobody.
let seconds = 0
let timer

/** Gives the promise back. `describe()` names it if it does not settle. */
export function watch(promise, describe) {
  timer ??= setInterval(look, 1000).unref()
  const key = Symbol('watched')
  pending.set(key, { since: seconds, describe })
  const settled = () => pending.delete(key)
  promise.then(settled, settled)
  return promise
}

function look() {
  seconds++
  const late = [...pending.values()].filter(({ since }) => seconds - since > LIMIT_SECONDS)
  if (late.length === 0) return
  const names = late.slice(0, SHOWN_MAX).map(({ describe }) => `\n  ${describe()}`)
  const more = late.length > SHOWN_MAX ? `\n  and ${late.length - SHOWN_MAX} more` : ''
  violate(`not settled within ${LIMIT_SECONDS} s:${names.join('')}${more}`)
}
