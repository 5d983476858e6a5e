// Results of two or more servers side by side: medians, spread, ratio of the last to the first.

const metrics = [
  { label: 'requests/s', key: 'rps', digits: 0 },
  { label: 'CPU of the JavaScript thread, µs/request', key: 'mainCpuUs', digits: 2 },
  { label: 'CPU of the whole process, µs/request', key: 'processCpuUs', digits: 2 },
  { label: 'latency p50, µs', key: 'p50us', digits: 0 },
  { label: 'latency p99, µs', key: 'p99us', digits: 0 },
  { label: 'memory, MiB', key: 'memoryMiB', digits: 0 },
]

/** `results` maps each server's name to its rounds; ratios are taken round by round. */
export function renderTable(title, results) {
  const names = [...results.keys()]
  const rounds = [...results.values()]
  const ratioTitle = `${names.at(-1)} / ${names[0]}`
  const rows = metrics.map(({ label, key, digits }) => [
    label,
    ...rounds.map((all) =>
      withSpread(
        all.map((round) => round[key]),
        digits,
      ),
    ),
    withSpread(
      rounds.at(-1).map((round, i) => round[key] / rounds[0][i][key]),
      2,
    ),
  ])
  return align([[title, ...names, ratioTitle], ...rows])
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `median (min–max)`, the spread only where there are several values, `-` where there is none. */
export function withSpread(values, digits) {
  if (!values.every(Number.isFinite)) return '-'
  const format = (value) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  if (values.length === 1) return format(values[0])
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return `${format(median(values))} (${format(low)}–${format(high)})`
}

/** The first column to the left, the others to the right, a rule under the heading. */
export function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   '),
  )
  lines.splice(1, 0, '─'.repeat(lines[0].length))
  return lines.map((line) => `  ${line}`).join('\n')
}
