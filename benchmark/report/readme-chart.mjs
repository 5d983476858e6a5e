// The chart of the README: one SVG with colours of its own, for light and dark surroundings.
import { htmlEscape } from 'escape-goat'

import { PlainError } from '../../scripts/requirements.mjs'
import { metrics } from '../metrics.mjs'
import { barsOf, heightOf, renderBars } from './charts.mjs'
import { paletteCss } from './palette.mjs'

const PANEL_WIDTH = 380
const PADDING = 16
const TITLE_HEIGHT = 26

const SCENARIO = 'long'
const LOADS = ['rpc:100x1KiB', 'rpc:1000x1KiB']
const KEYS = ['rps', 'processCpuUs']

export function renderReadmeChart({ measured }) {
  const entries = measured.filter(
    ({ scenario, load }) => scenario === SCENARIO && LOADS.includes(load),
  )
  if (entries.length === 0) {
    throw new PlainError(`--svg: its chart needs the scenario ${SCENARIO}, which was not measured.`)
  }
  const panels = KEYS.map((key) => ({ key, bars: barsOf(entries, key) }))
  const width = KEYS.length * (PANEL_WIDTH + PADDING) + PADDING
  const height = Math.max(...panels.map(({ bars }) => heightOf(bars))) + TITLE_HEIGHT + 2 * PADDING
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" \
viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif">
<style>svg{${paletteCss('light')}}
@media (prefers-color-scheme: dark){svg{${paletteCss('dark')}}}</style>
<rect width="${width}" height="${height}" rx="8" fill="var(--back)"/>
${panels.map(renderPanel).join('\n')}
</svg>
`
}

function renderPanel({ key, bars }, index) {
  const { title, better } = metrics[key]
  const chart = renderBars(metrics[key], bars, { width: PANEL_WIDTH })
  return `<g transform="translate(${PADDING + index * (PANEL_WIDTH + PADDING)},${PADDING})">
<text y="15" font-size="14" font-weight="600" fill="var(--ink)">${htmlEscape(title)}</text>
<text y="15" x="${PANEL_WIDTH}" text-anchor="end" font-size="12" fill="var(--soft)">\
${better} is better</text>
<g transform="translate(0,${TITLE_HEIGHT})">${chart}</g>
</g>`
}
