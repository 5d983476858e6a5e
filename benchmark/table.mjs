// Results as text.
import { formatSpread, metrics } from './metrics.mjs'
import { spreadOf, summarize } from './statistics.mjs'

/**
 * Tables of the servers under one load, one for each list of metrics in `tables`. `results` maps
 * each server's name to its rounds; ratios are to `baseline`, a name.
 */
export function renderTables(title, results, tables, baseline) {
  return tables
    .map((keys, index) => renderTable(index === 0 ? title : '', results, keys, baseline))
    .join('\n\n')
}

function renderTable(title, results, keys, baseline) {
  const heading = keys.flatMap((key) => [
    metrics[key].label,
    ...(metrics[key].hasRatio ? ['×'] : []),
  ])
  const rows = Object.entries(results).map(([name, rounds]) => {
    if (rounds.every(({ error }) => error !== undefined)) {
      return [name, 'failed', ...heading.slice(1).map(() => '')]
    }
    return [name, ...keys.flatMap((key) => cellsOf(rounds, results[baseline], key))]
  })
  return align([[title, ...heading], ...rows])
}

function cellsOf(rounds, baseline, key) {
  const { digits, hasRatio } = metrics[key]
  const summary = summarize(rounds, baseline ?? [], key)
  const value = formatSpread(summary, digits)
  return hasRatio ? [value, summary.ratio?.median.toFixed(2) ?? '-'] : [value]
}

/** `median (min–max)` of values. */
export function withSpread(values, digits) {
  return formatSpread(spreadOf(values), digits)
}

/** The first column to the left, the others to the right, a rule under the heading. */
export function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   '),
  )
  lines.splice(1, 0, '─'.repeat(lines[0].length))
  return lines.map((line) => `  ${line}`.trimEnd()).join('\n')
}
