// Which cores servers and load generator get, so that neither moves into the other's way.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { PlainError } from '../scripts/requirements.mjs'

/** With fewer cores than this, each has less to lose by sharing them. */
const CORES_MIN = 4

/** No server uses more by default; the load generator has one thread. */
const SERVER_CORES_MAX = 4

const SET = '\\d+(?:-\\d+)?(?:,\\d+(?:-\\d+)?)*'
const pattern = new RegExp(`^(${SET})/(${SET})$`)

/** For `read` of an option: `auto`, `none`, or cores as in `0-3/5`. */
export function parsePinning(text) {
  if (text === 'auto' || text === 'none') return text
  const match = pattern.exec(text)
  if (match !== null) return { server: match[1], client: match[2] }
  throw new PlainError(`expected auto, none or SERVER/CLIENT such as 0-3/5, not '${text}'`)
}

/** `{ server, client }` as taskset takes them, or `undefined` where nothing is pinned. */
export function planPinning(wanted, cores = allowedCores(), canPin = hasTaskset()) {
  if (wanted === 'none') return undefined
  if (wanted !== 'auto') {
    if (canPin) return wanted
    throw new PlainError('--pin needs the program `taskset`, which Linux has.')
  }
  if (!canPin || cores.length < CORES_MIN) return undefined
  // One is left to everything else.
  const server = cores.slice(0, Math.min(SERVER_CORES_MAX, cores.length - 2))
  return { server: server.join(','), client: String(cores.at(-1)) }
}

export function describePinning(pinning) {
  if (pinning === undefined) return 'servers and load generator share all of them'
  return `servers on ${pinning.server}, load generator on ${pinning.client}`
}

/** Of a list as in `0-3,8`. */
export function parseCores(list) {
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

function allowedCores() {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return parseCores(/^Cpus_allowed_list:\s*(.+)$/m.exec(status)[1])
  } catch {
    return []
  }
}

function hasTaskset() {
  return spawnSync('taskset', ['--version']).error === undefined
}
