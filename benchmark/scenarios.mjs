// What is measured by default. The first three are those of netpoll's own benchmark: requests in
// frames, each answered by one with the same payload, by clients that each wait for a reply.
import { PlainError } from '../scripts/requirements.mjs'
import { formatSize, parseLoad } from './load.mjs'

const perRequest = ['rps', 'processCpuUs', 'mainCpuUs']
const latencies = ['p50us', 'p99us', 'p999us', 'memoryMiB']
const charted = ['rps', 'processCpuUs', 'p99us']

/**
 * `tables`: the metrics of each table on a terminal; `charts`: those that get a chart; `quick`: the
 * loads that show whether it works. `onlyNode`: what is measured is known of Node's servers alone.
 */
export const scenarios = [
  {
    name: 'long',
    title: 'Long connections',
    text: 'Each client has a connection of its own, sends 1 KiB and waits for the reply.',
    loads: ['rpc:100x1KiB', 'rpc:500x1KiB', 'rpc:1000x1KiB'],
    quick: ['rpc:100x1KiB'],
    tables: [perRequest, latencies],
    charts: charted,
  },
  {
    name: 'idle',
    title: 'Many idle connections',
    text: 'The same beside connections that have had one request each and keep silent.',
    loads: ['rpc:100x1KiB+4000', 'rpc:500x1KiB+4000', 'rpc:1000x1KiB+4000'],
    quick: ['rpc:100x1KiB+400'],
    tables: [perRequest, latencies],
    charts: charted,
  },
  {
    name: 'mux',
    title: 'Multiplexed over 4 connections',
    text: 'All clients share four connections, on which their frames follow each other.',
    loads: ['rpc:4x1KiBx25', 'rpc:4x1KiBx125', 'rpc:4x1KiBx250'],
    quick: ['rpc:4x1KiBx25'],
    tables: [perRequest, latencies],
    charts: charted,
  },
  {
    name: 'stream',
    title: 'Streaming',
    text: 'Four connections carry 1 MiB after the other to an echo server and back.',
    loads: ['4x1MiB'],
    quick: ['4x1MiB'],
    tables: [
      ['mb_per_s', 'processCpuUs', 'mainCpuUs'],
      ['p50us', 'p99us', 'memoryMiB'],
    ],
    charts: ['mb_per_s', 'processCpuUs', 'memoryMiB'],
  },
  {
    name: 'short',
    title: 'Short connections',
    text: 'Each client connects, sends 1 KiB to an echo server, gets it back, and begins anew.',
    loads: ['short:100x1KiB'],
    quick: ['short:100x1KiB'],
    tables: [perRequest, latencies],
    charts: charted,
  },
  {
    name: 'memory',
    title: 'Idle memory',
    text:
      'By how much resident memory grows for each connection that has had one request and keeps ' +
      'silent, from a fifth of them to all.',
    loads: ['idle:10000x64B'],
    quick: ['idle:1000x64B'],
    tables: [['bytesPerConnection', 'memoryMiB']],
    charts: ['bytesPerConnection'],
  },
  {
    name: 'delay',
    title: 'Delay of the event loop',
    text:
      'How late a timer of the server’s own process is under full load: what else the process ' +
      'has to do waits as long. Measured by Node, so in its servers only.',
    loads: ['rpc:100x1KiB', 'rpc:1000x1KiB'],
    quick: ['rpc:100x1KiB'],
    tables: [['delayP50Ms', 'delayP99Ms', 'delayMaxMs', 'rps']],
    charts: ['delayP99Ms', 'delayMaxMs'],
    onlyNode: true,
  },
]

/** For loads that the command line brings and no scenario has. */
const ownLoads = {
  name: 'own',
  title: 'Loads of your own',
  text: 'As they were given with --load.',
  tables: [perRequest, latencies],
  charts: charted,
}

/** For `read` of an option. */
export function parseScenario(name) {
  const found = scenarios.find((scenario) => scenario.name === name)
  if (found !== undefined) return found
  const names = scenarios.map((scenario) => scenario.name).join(', ')
  throw new PlainError(`'${name}' is none of ${names}`)
}

/** The scenario of results. */
export function scenarioOf(name) {
  return scenarios.find((scenario) => scenario.name === name) ?? ownLoads
}

/** The scenario that a load of the command line belongs to. */
export function scenarioWith(load) {
  return scenarios.find(({ loads, onlyNode }) => !onlyNode && loads.includes(load)) ?? ownLoads
}

/** Entries of results in the order in which they are measured, those of no scenario last. */
export function inOrder(entries) {
  const order = scenarios.flatMap(({ name, loads }) => loads.map((load) => `${name} ${load}`))
  const placeOf = ({ scenario, load }) => {
    const place = order.indexOf(`${scenario} ${load}`)
    return place === -1 ? order.length : place
  }
  return entries.toSorted((a, b) => placeOf(a) - placeOf(b))
}

/** The metrics that tables of an entry of results have. */
export function tablesOf({ scenario, load }) {
  const isIdle = parseLoad(load).mode === 'idle'
  return isIdle ? scenarioOf('memory').tables : scenarioOf(scenario).tables
}

/** A load in words, as a heading in its scenario. */
export function describeLoad(name) {
  const { mode, connections, depth, size, idle } = parseLoad(name)
  const clients = (connections * depth).toLocaleString('en-US')
  const unit = mode === 'idle' ? 'connections' : 'clients'
  const one = connections * depth === 1 ? unit.slice(0, -1) : unit
  const over = depth === 1 ? '' : ` over ${connections.toLocaleString('en-US')} connections`
  const beside = idle === 0 ? '' : `, ${idle.toLocaleString('en-US')} idle`
  return `${clients} ${one}${over}, ${formatSize(size)}${beside}`
}
