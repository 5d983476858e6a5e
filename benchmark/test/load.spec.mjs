import test from 'ava'

import { formatSize, parseLoad } from '../load.mjs'
import { metrics } from '../metrics.mjs'
import { describeLoad, inOrder, scenarios, scenarioWith, tablesOf } from '../scenarios.mjs'

test('a load is read from its notation', (t) => {
  t.deepEqual(parseLoad('16x64Bx32'), {
    name: '16x64Bx32',
    mode: 'echo',
    protocol: 'echo',
    connections: 16,
    size: 64,
    depth: 32,
    idle: 0,
  })
  t.like(parseLoad('short:100x1KiB'), { mode: 'short', protocol: 'echo', depth: 1 })
  t.like(parseLoad('idle:9x2MiB'), { mode: 'idle', size: 2 * 1024 * 1024 })
  t.like(parseLoad('rpc:100x1KiBx3+4000'), {
    mode: 'echo',
    protocol: 'rpc',
    size: 1024,
    depth: 3,
    idle: 4000,
  })
})

test('what is no load is refused with the notation', (t) => {
  for (const text of ['', '100', '0x1KiB', '1x0B', '1x1KB', 'long:1x1B', '1x1B+', '1x1Bx0']) {
    t.throws(() => parseLoad(text), { message: /is not a load: .*CONNECTIONSxSIZE/ }, text)
  }
})

test('a size is told in the largest unit that leaves a whole number', (t) => {
  t.deepEqual([1, 1023, 1024, 1536, 3 * 1024 ** 2].map(formatSize), [
    '1 B',
    '1023 B',
    '1 KiB',
    '1536 B',
    '3 MiB',
  ])
})

test('clients that share connections are counted as clients', (t) => {
  t.is(describeLoad('rpc:1000x1KiB+4000'), '1,000 clients, 1 KiB, 4,000 idle')
  t.is(describeLoad('rpc:4x1KiBx250'), '1,000 clients over 4 connections, 1 KiB')
  t.is(describeLoad('idle:10000x64B'), '10,000 connections, 64 B')
  t.is(describeLoad('1x64B'), '1 client, 64 B')
})

test('the scenarios of netpoll are measured with 100, 500 and 1,000 clients at 1 KiB', (t) => {
  for (const name of ['long', 'idle', 'mux']) {
    const loads = scenarios.find((scenario) => scenario.name === name).loads.map(parseLoad)
    t.deepEqual(
      loads.map(({ connections, depth }) => connections * depth),
      [100, 500, 1000],
    )
    for (const load of loads) t.like(load, { protocol: 'rpc', size: 1024 })
    t.true(loads.every(({ idle }) => (name === 'idle' ? idle >= 4000 : idle === 0)))
    t.true(loads.every(({ connections }) => name !== 'mux' || connections === 4))
  }
})

test('a load of the command line belongs to the scenario that has it', (t) => {
  t.is(scenarioWith('rpc:1000x1KiB').name, 'long')
  t.is(scenarioWith('idle:10000x64B').name, 'memory')
  t.is(scenarioWith('16x64Bx32').name, 'own')
})

test('what was measured in parts is told in the order of the scenarios', (t) => {
  const entries = [
    { scenario: 'own', load: '1x64B' },
    { scenario: 'mux', load: 'rpc:4x1KiBx250' },
    { scenario: 'mux', load: 'rpc:4x1KiBx25' },
    { scenario: 'delay', load: 'rpc:100x1KiB' },
    { scenario: 'long', load: 'rpc:100x1KiB' },
  ]
  const [own, mux250, mux25, delay, long] = entries
  t.deepEqual(inOrder(entries), [long, mux25, mux250, delay, own])
})

test('each scenario has loads that can be read, and metrics that there are', (t) => {
  t.is(new Set(scenarios.map(({ name }) => name)).size, scenarios.length)
  for (const { name, loads, quick, tables, charts } of scenarios) {
    for (const load of [...loads, ...quick]) {
      t.notThrows(() => parseLoad(load))
      t.deepEqual(tablesOf({ scenario: name, load }), tables)
    }
    for (const key of [...tables.flat(), ...charts]) t.truthy(metrics[key], `${name}: ${key}`)
  }
  t.deepEqual(tablesOf({ scenario: 'own', load: 'idle:5x1B' }).flat().includes('rps'), false)
})
