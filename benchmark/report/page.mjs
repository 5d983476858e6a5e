// The report: one HTML page that needs no other file and no network.
import { readFileSync } from 'node:fs'

import { htmlEscape } from 'escape-goat'

import { describePinning } from '../cores.mjs'
import { describeMachine } from '../machine.mjs'
import { formatNumber, formatSpread, metrics } from '../metrics.mjs'
import { baselineOf, roundsOf, stealOf } from '../results.mjs'
import { describeLoad, scenarioOf, tablesOf } from '../scenarios.mjs'
import { summarize } from '../statistics.mjs'
import { barsOf, OWN, renderBars } from './charts.mjs'
import { paletteCss } from './palette.mjs'

const CHART_WIDTH = 380

const style = readFileSync(new URL('style.css', import.meta.url), 'utf8')

/** The page for results as results.mjs describes them. */
export function renderReport(found) {
  const names = [...new Set(found.measured.map(({ scenario }) => scenario))]
  const sections = names.map((name) => ({
    ...scenarioOf(name),
    entries: found.measured.filter(({ scenario }) => scenario === name),
  }))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nodepoll side by side</title>
<style>
:root{${paletteCss('light')}}
@media (prefers-color-scheme: dark){:root{${paletteCss('dark')}}}
${style}</style>
</head>
<body>
<header>
<h1>nodepoll side by side</h1>
<p>The same server on several runtimes, each in a process of its own, under a load generator that
verifies every byte. They took turns, round by round.</p>
${renderFacts(found)}
<p>A bar is the median of all rounds, the line over it reaches from the least to the most of them.
Ratios (×) are to ${htmlEscape(baselineName(found))}, taken round by round. CPU time is that
of the whole process, by the scheduler’s own count; it depends less on who else uses the
machine than requests per second.</p>
<nav aria-label="Scenarios"><ul>
${sections.map(renderLink).join('\n')}
</ul></nav>
</header>
<main>
${sections.map(renderSection).join('\n')}
</main>
</body>
</html>
`
}

function renderFacts(found) {
  const { machine, rivals, leftOut, seconds, warmup, pinning, date, commit } = found
  const { min, max } = roundsOf(found)
  const rounds = min === max ? `${max}` : `${min} to ${max}`
  const facts = [
    ['Machine', `${describeMachine(machine)}, ${machine.memoryGiB} GiB`],
    ['Measured', `${date.slice(0, 10)}${commit === undefined ? '' : ` at ${commit}`}`],
    ['Rounds', `${rounds} of ${seconds} s, each after ${warmup} s of warm-up`],
    ['Cores', describePinning(pinning)],
    ['Taken by others', describeSteal(stealOf(found))],
    ...rivals.map(({ name, version }) => [name, version]),
    ...leftOut.map(({ name, reason }) => [name, `left out: ${reason}`]),
  ]
  const rows = facts.map(([term, text]) => htmlEscape`<dt>${term}</dt><dd>${text}</dd>`)
  return `<dl>\n${rows.join('\n')}\n</dl>`
}

/** What the hypervisor gave to others: with much of it, a run says little. */
function describeSteal(steal) {
  if (steal === undefined) return 'unknown'
  const [middle, most] = [steal.median, steal.max].map((share) => formatNumber(share * 100, 1))
  return `${middle} % of the machine’s time, at most ${most} %`
}

function renderSection({ name, title, text, charts, entries }) {
  const figures = charts.map((key) => renderFigure(key, entries))
  return `<section id="${htmlEscape(name)}" aria-labelledby="${htmlEscape(name)}-title">
<h2 id="${htmlEscape(name)}-title">${htmlEscape(title)}</h2>
<p>${htmlEscape(text)}</p>
<div class="charts">
${figures.join('\n')}
</div>
<details><summary>All numbers</summary>
${entries.map(renderTable).join('\n')}
</details>
</section>`
}

function renderFigure(key, entries) {
  const bars = barsOf(entries, key)
  if (bars.length === 0) return ''
  const { title, better } = metrics[key]
  return `<figure>
<figcaption>${htmlEscape(title)} <small>${better} is better</small></figcaption>
${renderBars(metrics[key], bars, { width: CHART_WIDTH })}
</figure>`
}

function renderTable(entry) {
  const { load, results } = entry
  const keys = tablesOf(entry).flat()
  const headings = keys.flatMap((key) => [
    metrics[key].label,
    ...(metrics[key].hasRatio ? ['×'] : []),
  ])
  const baseline = results[baselineOf(results)]
  const rows = Object.entries(results).map(
    ([name, rounds]) =>
      `<tr${name === OWN ? ' class="own"' : ''}><th scope="row">${htmlEscape(name)}</th>` +
      `${renderCells(keys, headings.length, rounds, baseline)}</tr>`,
  )
  return `<div class="scroll" tabindex="0"><table>
<caption>${htmlEscape(describeLoad(load))}</caption>
<thead><tr>${['server', ...headings].map(renderHeading).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>`
}

function renderCells(keys, columns, rounds, baseline) {
  if (rounds.every(({ error }) => error !== undefined)) {
    return htmlEscape`<td class="failed" colspan="${columns}">failed: ${rounds[0].error}</td>`
  }
  return keys.map((key) => renderCell(key, summarize(rounds, baseline, key))).join('')
}

function renderCell(key, summary) {
  const { digits, hasRatio } = metrics[key]
  const [middle, range] = formatSpread(summary, digits).split(' ')
  const spread = range === undefined ? '' : `<small>${range.slice(1, -1)}</small>`
  const value = `<td>${middle}${spread}</td>`
  return hasRatio ? `${value}<td>${summary.ratio?.median.toFixed(2) ?? '-'}</td>` : value
}

function renderLink({ name, title }) {
  return htmlEscape`<li><a href="#${name}">${title}</a></li>`
}

function renderHeading(text) {
  return htmlEscape`<th scope="col">${text}</th>`
}

function baselineName({ measured }) {
  return measured.length === 0 ? 'the first' : baselineOf(measured[0].results)
}
