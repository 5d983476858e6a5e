// Servers and callers that are processes of their own, measured in rounds: what a call costs each.
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { PlainError } from '../scripts/requirements.mjs'
import { formatSpread } from './metrics.mjs'
import { integer, number } from './options.mjs'
import { start } from './processes.mjs'
import { clearProgress, showPhase } from './progress.mjs'
import { summarize } from './statistics.mjs'
import { align, withSpread } from './table.mjs'
import { readUsage } from './usage.mjs'

const START_TIMEOUT_MS = 15_000

/** Options of programs that measure pairs. */
export const pairDeclarations = {
  seconds: { value: 'N', default: 2, read: number(0.2, 60), help: 'how long each run takes' },
  warmup: { value: 'N', default: 1, read: number(0, 60), help: 'seconds before that' },
  rounds: { value: 'N', default: 5, read: integer(1, 100), help: 'how often each is measured' },
}

/** Measures pairs and prints their table: see `renderPairs` for `how`. */
export async function comparePairs(title, pairs, rounds, how) {
  const results = await measurePairs(pairs, rounds, `${title}, `)
  clearProgress()
  console.log(`${renderPairs(title, results, how)}\n`)
}

/**
 * Measures each of `pairs`, `{ name, server, callers }` with both command lines, once a round.
 * Resolves with the rounds of each by its name. `{port}` in the callers' command line becomes the
 * server's.
 */
export async function measurePairs(pairs, rounds, title = '') {
  const results = new Map(pairs.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const pair of pairs) {
      showPhase(`${title}round ${round}: ${pair.name}`)
      results.get(pair.name).push(await measure(pair))
    }
  }
  return results
}

async function measure({ name, server: command, callers }) {
  const server = start(command)
  try {
    const port = await portOf(server)
    return await call(
      server.child.pid,
      callers.map((part) => part.replace('{port}', port)),
    )
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    throw new PlainError(`${name}: ${error.message}`)
  } finally {
    server.child.kill()
    await server.ended
  }
}

/** Both sides' CPU time is read when the callers say that they begin and end to measure. */
async function call(serverPid, command) {
  const { child, ended } = start(command)
  const usage = {}
  let report
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) report = JSON.parse(line)
    else usage[line] = { server: readUsage(serverPid), callers: readUsage(child.pid) }
  })
  let errors = ''
  child.stderr.on('data', (text) => (errors += text))
  const ending = await ended
  if (ending !== 'exit code 0') throw new PlainError(`the callers ended with ${ending}\n${errors}`)
  const usOf = (who) => {
    const { measuring, measured } = usage
    if (measured?.[who] === undefined) return undefined
    return (measured[who].processNs - measuring[who].processNs) / 1000 / report.calls
  }
  return { ...report, serverUs: usOf('server'), callersUs: usOf('callers') }
}

async function portOf({ child, ended }) {
  let errors = ''
  child.stderr.on('data', (text) => (errors += text))
  const late = setTimeout(() => child.kill(), START_TIMEOUT_MS)
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    ended.then((ending) => [ending]),
  ])
  clearTimeout(late)
  const [, port] = /^listening(?: on)? (\d+)$/.exec(line) ?? []
  if (port === undefined) throw new PlainError(`the server said '${line}'\n${errors}`)
  return port
}

/** What a pair is told of, by the key it has in a round; `unit` is what is counted. */
function columnsOf(unit) {
  return [
    [`${unit}s/s`, 'callsPerSecond', 0],
    ['server CPU, µs', 'serverUs', 2],
    ['callers’ CPU, µs', 'callersUs', 2],
    ['p50, µs', 'p50us', 0],
    ['p99, µs', 'p99us', 0],
  ]
}

/**
 * A table of pairs; ratios are to the first, round by round. `ratios` are keys: how many calls
 * there were, or what they have cost.
 */
export function renderPairs(title, results, { unit = 'call', ratios = ['callsPerSecond'] } = {}) {
  const columns = columnsOf(unit)
  const headings = new Map(columns.map(([heading, key]) => [key, heading.replace(/, µs$/, '')]))
  const [baseline] = results.values()
  const head = columns.map(([heading]) => heading)
  const rows = Array.from(results, ([name, rounds]) => [
    name,
    ...columns.map(([, key, digits]) =>
      withSpread(rounds.map((round) => round[key]).filter(isKnown), digits),
    ),
    ...ratios.map((key) => formatSpread(summarize(rounds, baseline, key).ratio, 2)),
  ])
  return align([[title, ...head, ...ratios.map((key) => `${headings.get(key)}, ×`)], ...rows])
}

function isKnown(value) {
  return value !== undefined && value !== null
}
