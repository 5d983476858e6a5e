import test from 'ava'
import { parseHTML } from 'linkedom'

import { addRound, newResults } from '../../results.mjs'
import { renderReadmeChart, renderReport } from '../index.mjs'

/** Two scenarios, three servers, two rounds; one server fails under one load. */
function makeResults() {
  const found = newResults({
    machine: { cpu: 'a <fast> CPU', cores: 2, memoryGiB: 4, system: 'Linux 6', node: '20.0.0' },
    seconds: 2,
    warmup: 1,
    rivals: ['node:net', 'Bun', 'nodepoll'].map((name) => ({ name, version: `${name} 1.0` })),
    leftOut: [{ name: 'Deno', reason: '<script>alert(1)</script> & more' }],
  })
  for (const load of ['rpc:100x1KiB', 'rpc:1000x1KiB']) {
    for (const [index, rival] of ['node:net', 'Bun', 'nodepoll'].entries()) {
      for (const factor of [1, 1.5]) {
        const round = {
          rps: 1000 * (index + 1) * factor,
          processCpuUs: 10 / factor,
          p99us: 400,
          stealShare: 0.01,
        }
        addRound(found, { scenario: 'long', load, rival, round })
      }
    }
  }
  for (const [rival, round] of Object.entries({
    'node:net': { bytesPerConnection: 2000 },
    nodepoll: { error: 'no reply on <3> connections' },
  })) {
    addRound(found, { scenario: 'memory', load: 'idle:10x64B', rival, round })
  }
  return found
}

const html = renderReport(makeResults())
const { document } = parseHTML(html)
const numberOf = (element, name) => Number(element.getAttribute(name))
const textOf = (selector) => document.querySelector(selector)?.textContent ?? ''

test('the report needs no other file, no network and no script', (t) => {
  t.regex(html, /^<!doctype html>/)
  t.is(document.querySelectorAll('script, link, img, iframe, object').length, 0)
  const addresses = html.match(/\b(?:https?:)?\/\/[^\s"'<)]+/g) ?? []
  t.deepEqual(
    addresses.filter((address) => !address.includes('www.w3.org/')),
    [],
  )
  t.notRegex(html, /@import|url\(/)
})

test('what is told of the machine, the servers and those left out is text, never markup', (t) => {
  const facts = textOf('dl')
  for (const text of ['a <fast> CPU', 'Bun 1.0', 'left out: <script>alert(1)</script> & more']) {
    t.true(facts.includes(text), text)
  }
  t.true(facts.includes('1.0 % of the machine’s time, at most 1.0 %'))
  t.true(textOf('#memory').includes('failed: no reply on <3> connections'))
})

test('each scenario that was measured has its section, and others have none', (t) => {
  const sections = [...document.querySelectorAll('section')].map(({ id }) => id)
  t.deepEqual(sections, ['long', 'memory'])
  const links = [...document.querySelectorAll('nav a')].map((link) => link.getAttribute('href'))
  t.deepEqual(links, ['#long', '#memory'])
})

test('a chart has a bar for each server and load, and its numbers as words', (t) => {
  const [chart] = document.querySelectorAll('#long figure svg')
  const bars = [...chart.querySelectorAll('g[aria-label="bar"] rect')]
  t.is(bars.length, 6)
  t.is(bars.filter((bar) => bar.getAttribute('fill') === 'var(--own)').length, 2)
  t.is(chart.getAttribute('role'), 'img')
  const label = chart.getAttribute('aria-label')
  t.true(label.startsWith('Requests per second (more is better). 100 clients, 1 KiB, node:net: '))
  t.true(label.includes('1,000 clients, 1 KiB, nodepoll: 3,750, from 3,000 to 4,500'))
})

test('the line over a bar reaches from the least to the most', (t) => {
  const [chart] = document.querySelectorAll('#long figure svg')
  const [bar] = chart.querySelectorAll('g[aria-label="bar"] rect')
  const [line] = chart.querySelectorAll('g[aria-label="rule"] line')
  const start = numberOf(bar, 'x')
  // The median of 1,000 and 1,500 is 1,250.
  const scale = numberOf(bar, 'width') / 1250
  t.true(Math.abs(numberOf(line, 'x1') - start - 1000 * scale) < 0.01)
  t.true(Math.abs(numberOf(line, 'x2') - start - 1500 * scale) < 0.01)
})

test('a table has all numbers, and ratios to node:net', (t) => {
  const [table] = document.querySelectorAll('#long table')
  const rows = [...table.querySelectorAll('tbody tr')]
  t.is(rows.length, 3)
  const [name, ...cells] = [...rows[2].children].map(({ textContent }) => textContent)
  t.is(name, 'nodepoll')
  t.deepEqual(cells.slice(0, 4), ['3,7503,000–4,500', '3.00', '8.336.67–10.00', '1.00'])
  const columns = table.querySelectorAll('thead th').length
  t.true(rows.every((row) => row.children.length === columns))
})

test('the chart of the README has its own colours for light and dark surroundings', (t) => {
  const svg = renderReadmeChart(makeResults())
  t.regex(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
  t.regex(svg, /svg\{--ink:[^}]*--back:/)
  t.regex(svg, /@media \(prefers-color-scheme: dark\)\{svg\{--ink:/)
  t.regex(svg, /<rect width="\d+" height="\d+" rx="8" fill="var\(--back\)"\/>/)
  t.is((svg.match(/<svg /g) ?? []).length, 3)
})

test('without its scenario there is no chart for the README', (t) => {
  const found = makeResults()
  found.measured = found.measured.filter(({ scenario }) => scenario !== 'long')
  t.throws(() => renderReadmeChart(found), { message: /needs the scenario long/ })
})
