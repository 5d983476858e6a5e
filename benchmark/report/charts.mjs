// Bars for medians, with the range from the least to the most that was measured, as SVG. It needs
// the colours of palette.mjs around it, and nothing else.
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

import { formatNumber } from '../metrics.mjs'
import { describeLoad } from '../scenarios.mjs'
import { summarize } from '../statistics.mjs'

/** The name that is highlighted. */
export const OWN = 'nodepoll'

const ROW_HEIGHT = 23
const HEADING_HEIGHT = 34
const TOP_HEIGHT = 24
const AXIS_HEIGHT = 28

/** Room for the names of servers on the left, and for numbers behind the longest bar. */
const NAME_WIDTH = 112
const NUMBER_SHARE = 0.3

const TICK_WIDTH = 85

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

/**
 * The bars of a metric, `{ group, name, median, min, max }`, of all servers that have it: a group
 * for each of `entries`, which are what was measured of a scenario.
 */
export function barsOf(entries, key) {
  return entries.flatMap(({ load, results }) =>
    Object.entries(results)
      .map(([name, rounds]) => ({ group: describeLoad(load), name, ...summarize(rounds, [], key) }))
      .filter(({ median }) => median !== undefined),
  )
}

/** A chart of a metric, `{ title, better, digits }`, so many pixels wide. */
export function renderBars({ title, better, digits }, bars, { width }) {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const { names, groups, groupHeight } = shapeOf(bars)
  // A single group would be made smaller by a gap that it does not have.
  const gap = groups.length === 1 ? 0 : HEADING_HEIGHT / groupHeight
  const most = Math.max(...bars.map(({ max }) => max), Number.MIN_VALUE)
  const svg = Plot.plot({
    document,
    width,
    height: heightOf(bars),
    marginLeft: NAME_WIDTH,
    marginRight: 4,
    marginTop: TOP_HEIGHT,
    marginBottom: AXIS_HEIGHT,
    style: { fontFamily: FONT, fontSize: '12px', color: 'var(--ink)', background: 'none' },
    x: { domain: [0, most * (1 + NUMBER_SHARE)], axis: null },
    y: { domain: names, axis: null, padding: 0.25 },
    fy: { domain: groups, axis: null, paddingInner: gap, paddingOuter: 0 },
    marks: [...axisMarks(width), headings(groups), ...barMarks(bars, digits)],
  })
  // It is for an SVG in a page that has no style of its own.
  svg.querySelector('style')?.remove()
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', describe(`${title} (${better} is better)`, bars, digits))
  return svg.outerHTML
}

/** The pixels of the chart of these bars. */
export function heightOf(bars) {
  const { groups, groupHeight } = shapeOf(bars)
  return TOP_HEIGHT + groups.length * groupHeight - HEADING_HEIGHT + AXIS_HEIGHT
}

function shapeOf(bars) {
  const names = [...new Set(bars.map(({ name }) => name))]
  const groups = [...new Set(bars.map(({ group }) => group))]
  return { names, groups, groupHeight: names.length * ROW_HEIGHT + HEADING_HEIGHT }
}

function axisMarks(width) {
  const ticks = Math.floor((width - NAME_WIDTH) / TICK_WIDTH)
  return [
    Plot.gridX({ ticks, stroke: 'var(--line)', strokeOpacity: 1 }),
    Plot.axisX({ ticks, tickFormat, tickSize: 0, fill: 'var(--soft)', fontSize: 11, label: null }),
  ]
}

function headings(groups) {
  return Plot.text(groups, {
    fy: (group) => group,
    text: (group) => group,
    frameAnchor: 'top-left',
    dx: 4 - NAME_WIDTH,
    dy: -15,
    fill: 'var(--soft)',
    fontWeight: 600,
  })
}

function barMarks(bars, digits) {
  const place = { fy: 'group', y: 'name' }
  const edge = { ...place, stroke: 'var(--ink)', inset: 4 }
  const texts = { ...place, text: ({ median }) => formatNumber(median, digits) }
  return [
    Plot.barX(bars, { ...place, x: 'median', fill: colourOf }),
    Plot.ruleY(bars, { ...place, x1: 'min', x2: 'max', stroke: 'var(--ink)' }),
    Plot.tickX(bars, { ...edge, x: 'min' }),
    Plot.tickX(bars, { ...edge, x: 'max' }),
    ...[isOwn, isOther].flatMap((filter) => {
      const options = { filter, fontWeight: filter === isOwn ? 700 : 400 }
      return [
        Plot.text(bars, { ...place, ...options, x: 0, text: 'name', textAnchor: 'end', dx: -8 }),
        Plot.text(bars, { ...texts, ...options, x: 'max', textAnchor: 'start', dx: 6 }),
      ]
    }),
  ]
}

function isOwn({ name }) {
  return name === OWN
}

function isOther(bar) {
  return !isOwn(bar)
}

function colourOf(bar) {
  return isOwn(bar) ? 'var(--own)' : 'var(--other)'
}

/** The numbers, for who does not see the bars. */
function describe(title, bars, digits) {
  const told = bars.map(({ group, name, median, min, max }) => {
    const [middle, least, most] = [median, min, max].map((value) => formatNumber(value, digits))
    return `${group}, ${name}: ${middle}, from ${least} to ${most}`
  })
  return `${title}. ${told.join('; ')}.`
}

function tickFormat(value) {
  const [size, unit] = value >= 1e6 ? [1e6, 'M'] : value >= 1e4 ? [1e3, 'k'] : [1, '']
  return `${formatTick(value / size)}${unit}`
}

function formatTick(value) {
  return value.toLocaleString('en-US', { maximumFractionDigits: 2 })
}
