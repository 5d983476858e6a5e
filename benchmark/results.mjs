// Results as they are kept: what was measured, where, with what, round by round.
//
//   { format, date, machine, pinning?, seconds, warmup, rivals: [{ name, version }],
//     leftOut: [{ name, reason }],
//     measured: [{ scenario, load, results: { [rival]: [{ rps, …} or { error }] } }] }
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

import { PlainError } from '../scripts/requirements.mjs'
import { BASELINE } from './rivals.mjs'
import { spreadOf } from './statistics.mjs'

const FORMAT = 1

/** Behind the point in what is kept: far below what a measurement can tell. */
const DIGITS = 3

/** What may not differ between results that become one. */
const COMMON = ['format', 'machine', 'pinning', 'seconds', 'warmup', 'commit']

export function newResults(facts) {
  return {
    format: FORMAT,
    date: new Date().toISOString(),
    commit: readCommit(),
    ...facts,
    measured: [],
  }
}

/** Adds a round of one server to `results`. */
export function addRound(results, { scenario, load, rival, round }) {
  let entry = results.measured.find((one) => one.scenario === scenario && one.load === load)
  if (entry === undefined) {
    entry = { scenario, load, results: {} }
    results.measured.push(entry)
  }
  const rounds = (entry.results[rival] ??= [])
  rounds.push(toKept(round))
}

/** One of several, round after round; throws where they do not belong together. */
export function mergeResults([first, ...others]) {
  const merged = structuredClone(first)
  for (const other of others) {
    const differing = COMMON.find(
      (key) => JSON.stringify(other[key]) !== JSON.stringify(first[key]),
    )
    if (differing !== undefined) {
      throw new PlainError(`These results do not belong together: their ${differing} differs.`)
    }
    merged.date = merged.date < other.date ? merged.date : other.date
    mergeByName(merged.rivals, other.rivals)
    mergeByName(merged.leftOut, other.leftOut)
    for (const { scenario, load, results } of other.measured) {
      for (const [rival, rounds] of Object.entries(results)) {
        for (const round of rounds) addRound(merged, { scenario, load, rival, round })
      }
    }
  }
  return merged
}

export function readResults(path) {
  let results
  try {
    results = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new PlainError(`${path} cannot be read: ${error.message}`)
  }
  if (results?.format === FORMAT) return results
  throw new PlainError(`${path} has no results of this version of the benchmark.`)
}

export function writeResults(path, results) {
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`)
}

/** The name of the server that the others of one load are compared with. */
export function baselineOf(results) {
  return BASELINE in results ? BASELINE : Object.keys(results)[0]
}

/** The share of the machine's time that others had, over all measurements, as a spread. */
export function stealOf({ measured }) {
  const rounds = measured.flatMap(({ results }) => Object.values(results).flat())
  return spreadOf(rounds.map(({ stealShare }) => stealShare).filter(Number.isFinite))
}

/** How often each server was measured under each load, the least and the most. */
export function roundsOf({ measured }) {
  return spreadOf(
    measured.flatMap(({ results }) => Object.values(results).map((all) => all.length)),
  )
}

/** What went wrong, each once. */
export function failuresOf({ measured }) {
  const rounds = measured.flatMap(({ results }) => Object.values(results).flat())
  return [...new Set(rounds.flatMap(({ error }) => error ?? []))]
}

function mergeByName(list, others) {
  list.push(...others.filter(({ name }) => !list.some((one) => one.name === name)))
}

function toKept(round) {
  const entries = Object.entries(round).map(([key, value]) => [
    key,
    typeof value === 'number' ? Number(value.toFixed(DIGITS)) : value,
  ])
  return Object.fromEntries(entries)
}

/** The commit this was measured at, with a mark if files differ; `undefined` outside of git. */
function readCommit() {
  try {
    const options = {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }
    return execFileSync('git', ['describe', '--always', '--dirty'], options).trim()
  } catch {
    return undefined
  }
}
