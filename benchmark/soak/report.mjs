// What a run prints.
import { monitorEventLoopDelay } from 'node:perf_hooks'

import { stats } from 'nodepoll'

import { countDescriptors } from './resources.mjs'
import { counts } from './server.mjs'
import { verified } from './stream.mjs'

export class Report {
  /** What repeats the run. */
  command
  #clients
  #started = performance.now()
  #delay = monitorEventLoopDelay({ resolution: 10 })

  constructor(clients, options) {
    this.#clients = clients
    const given = Object.entries(options).map(([name, value]) => `--${name} ${value}`)
    this.command = `npm run soak -- ${given.join(' ')}`
    this.#delay.enable()
  }

  /** Of the two numbers with a plus sign the first is the server's, the second the clients'. */
  progress() {
    const { opened, ended, bytes, rss, descriptors } = this.#clients.report
    const parts = [
      `opened ${count(opened)}`,
      `ended ${count(ended)}`,
      `verified ${mebibytes(bytes + verified.bytes)}`,
      `RSS ${mebibytes(process.memoryUsage.rss())} + ${mebibytes(rss)}`,
      `leased ${mebibytes(stats().arenaBytesLeased)}`,
      `descriptors ${countDescriptors() ?? '-'} + ${descriptors ?? '-'}`,
      `delay ${Math.round(this.#delay.max / 1e6)} ms`,
    ]
    this.#delay.reset()
    return `${this.#clock()}  ${parts.join(', ')}`
  }

  pause(round, rss) {
    return `${this.#clock()}  pause ${round}: nothing is left, RSS ${mebibytes(rss)}`
  }

  success() {
    return `\n${this.#summary()}\n\nNothing is wrong after ${this.#clock()}.`
  }

  violation(message) {
    return `\n${this.#summary()}\n\n${this.#clock()}  WRONG: ${message}\nAgain: ${this.command}`
  }

  #summary() {
    if (this.#clients.report === undefined) return 'Nothing has begun.'
    const { opened, ended, running, bytes, rss, kinds } = this.#clients.report
    const { bytesRead, bytesWritten, bytesCopied, switches, pauses, arenaBytes } = stats()
    const lines = {
      clients: `${count(opened)} opened, ${count(ended)} ended, ${count(running)} open`,
      kinds: list(kinds),
      handlers: list(Object.entries(counts)),
      verified: `${mebibytes(bytes)} by clients, ${mebibytes(verified.bytes)} by the server`,
      server:
        `${mebibytes(bytesRead)} read, ${mebibytes(bytesWritten)} written, ` +
        `${mebibytes(bytesCopied)} copied, ${count(switches)} switches`,
      pauses: list(Object.entries(pauses)),
      memory:
        `RSS ${mebibytes(process.memoryUsage.rss())} (clients ${mebibytes(rss)}), ` +
        `arena ${mebibytes(arenaBytes)}`,
    }
    return Object.entries(lines)
      .map(([name, text]) => `${name.padEnd(10)}${text}`)
      .join('\n')
  }

  #clock() {
    const seconds = Math.round((performance.now() - this.#started) / 1000)
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  }
}

function list(entries) {
  return entries.map(([name, number]) => `${name} ${count(number)}`).join(', ')
}

function count(value) {
  return value.toLocaleString('en-US')
}

function mebibytes(bytes) {
  return `${count(Math.round(bytes / 2 ** 20))} MiB`
}
