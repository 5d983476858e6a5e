// What rounds of measurements come to.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `{ median, min, max }`, or `undefined` unless there are values and all are numbers. */
export function spreadOf(values) {
  if (values.length === 0 || !values.every(Number.isFinite)) return undefined
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/**
 * The spread of `key` over the rounds of one server, and of its ratio to `baseline`, which is taken
 * round by round, so that it compares what was measured close together. Failed rounds, those with
 * an `error`, do not count.
 */
export function summarize(rounds, baseline, key) {
  const values = rounds.filter(isWhole).map((round) => round[key])
  const pairs = rounds
    .map((round, index) => [round, baseline[index]])
    .filter((pair) => pair.every(isWhole))
  const ratios = pairs.map(([round, base]) => round[key] / base[key])
  return { ...spreadOf(values), ratio: spreadOf(ratios) }
}

function isWhole(round) {
  return round !== undefined && round.error === undefined
}
