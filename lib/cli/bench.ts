import { availableParallelism, cpus, release, type } from 'node:os'

import { type Command, command, numberOption, switchOption } from './arguments.ts'
import { measure, type Measured } from './bench/measure.ts'
import { type Contender, CONTENDERS, type Load } from './bench/messages.ts'
import { loadNodepoll } from './failure.ts'
import { onInterrupt } from './interrupt.ts'
import { formatNumber, Output, table } from './output.ts'
import { runtimeName } from './doctor/system.ts'

type Rounds = Record<Contender, Measured[]>

/** What is printed: the field, its name, and how its numbers look. */
const metrics: readonly [keyof Measured, string, (value: number) => string][] = [
  ['requestsPerSecond', 'requests/s', (value) => formatNumber(value)],
  ['cpuMicrosPerRequest', 'CPU of the server, µs', (value) => formatNumber(value, 1)],
  ['busy', 'JavaScript busy, %', (value) => formatNumber(value * 100)],
  ['p50Micros', 'latency, median, µs', (value) => formatNumber(value)],
  ['p99Micros', 'latency, 99 %, µs', (value) => formatNumber(value)],
]

const INTERRUPTED = 130

export const bench: Command = command({
  name: 'bench',
  summary: 'compare an echo on node:net with one on nodepoll, on this machine',
  help:
    'Compares an echo on node:net with one on nodepoll. Server and load are processes of their ' +
    'own, the load is the same for both and checks every byte. They take turns, so that a ' +
    'machine that changes its speed changes it for both. Printed are the median of all rounds, ' +
    'the smallest and the largest, and the ratio of the medians. For numbers to rely on, let ' +
    'nothing else run.',
  operands: [],
  options: {
    connections: numberOption('number', 'connections', { min: 1, max: 10_000, fallback: 100 }),
    size: numberOption('bytes', 'bytes of a message', { min: 1, max: 1 << 20, fallback: 1024 }),
    pipeline: numberOption('number', 'messages that a connection has under way', {
      min: 1,
      max: 1000,
      fallback: 1,
    }),
    seconds: numberOption('seconds', 'time to measure in each round', {
      min: 0.1,
      max: 3600,
      fallback: 2,
      isWhole: false,
    }),
    rounds: numberOption('number', 'rounds', { min: 1, max: 1000, fallback: 3 }),
    json: switchOption('print one object of JSON'),
  },
  async run({ json, rounds, ...load }) {
    const output = new Output(json)
    await loadNodepoll()
    const interruption = new AbortController()
    const forget = onInterrupt(() => interruption.abort())
    const results: Rounds = { 'node:net': [], nodepoll: [] }
    try {
      for (let round = 1; round <= rounds; round++) {
        for (const contender of CONTENDERS) {
          output.status(`round ${round} of ${rounds}: ${contender} …`)
          results[contender].push(await measure(contender, load, interruption.signal))
        }
      }
    } catch (error) {
      if (!interruption.signal.aborted) throw error
    } finally {
      output.clearStatus()
      forget[Symbol.dispose]()
    }
    print(output, load, results)
    return interruption.signal.aborted ? INTERRUPTED : 0
  },
})

function print(output: Output, load: Omit<Load, 'port'>, results: Rounds): void {
  const machine = {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    threads: availableParallelism(),
    system: `${type()} ${release()}`,
    runtime: runtimeName(),
  }
  const summary = CONTENDERS.map((contender) => [contender, summarize(results[contender])] as const)
  output.json({ machine, load, results: Object.fromEntries(summary), rounds: results })
  if (CONTENDERS.some((contender) => results[contender].length === 0)) return
  const { connections, size, pipeline, seconds } = load
  output.line(`${machine.processor}, ${machine.threads} threads, ${machine.system}`)
  output.line(
    `${machine.runtime}; ${connections} connections, ${size} bytes, ${pipeline} under way`,
  )
  output.line(
    `${results.nodepoll.length} rounds of ${seconds} s: median (smallest–largest), per request\n`,
  )
  output.line(tableOf(results))
}

function tableOf(results: Rounds): string {
  const rows = metrics.map(([field, title, format]) => {
    const all = CONTENDERS.map((contender) => spreadOf(results[contender], field))
    const cells = all.map(({ median, min, max }) =>
      min === max ? format(median) : `${format(median)} (${format(min)}–${format(max)})`,
    )
    const [first, second] = all
    const ratio = (second?.median ?? 0) / (first?.median ?? 0)
    return [title, ...cells, Number.isFinite(ratio) ? formatNumber(ratio, 2) : '–']
  })
  return table([['', ...CONTENDERS, 'ratio'], ...rows])
}

interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

function summarize(rounds: readonly Measured[]): Record<string, Spread> {
  return Object.fromEntries(metrics.map(([field]) => [field, spreadOf(rounds, field)]))
}

function spreadOf(rounds: readonly Measured[], field: keyof Measured): Spread {
  const values = rounds.map((round) => round[field]).toSorted((a, b) => a - b)
  const middle = values.length >> 1
  const upper = values[middle] ?? 0
  const median = values.length % 2 === 1 ? upper : ((values[middle - 1] ?? 0) + upper) / 2
  return { median, min: values[0] ?? 0, max: values.at(-1) ?? 0 }
}
