// The process of the clients, as the server's process sees it.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { violate } from './violation.mjs'
import { watch } from './watchdog.mjs'

const PAUSE_SECONDS_MAX = 90

export class ClientProcess {
  /** What it has told last. */
  report
  #child
  #isStopping = false
  #paused = () => {}

  /** `options` are what `clients.mjs` reads. Resolves when it is ready. */
  async start(options) {
    const path = fileURLToPath(new URL('clients.mjs', import.meta.url))
    const child = fork(path, [JSON.stringify(options)])
    this.#child = child
    child.on('message', ({ violation, report, paused }) => {
      if (violation !== undefined) violate(violation)
      this.report = report
      if (paused) this.#paused()
    })
    child.on('exit', (code, signal) => {
      if (!this.#isStopping) violate(`the process of the clients ends with ${signal ?? code}`)
    })
    const ready = new Promise((done) => child.once('message', done))
    await watch(ready, () => 'the start of the process of the clients')
  }

  /** Lets clients begin. */
  go() {
    this.#child.send('go')
  }

  /** Resolves when all clients have ended and their side is as it was at the beginning. */
  async pause() {
    const paused = new Promise((done) => (this.#paused = done))
    this.#child.send('pause')
    const late = setTimeout(() => {
      violate(`${this.report.running} clients have not ended ${PAUSE_SECONDS_MAX} s after a pause`)
    }, PAUSE_SECONDS_MAX * 1000)
    await paused
    clearTimeout(late)
  }

  /** It ends by itself, with exit code 0. */
  async stop() {
    this.#isStopping = true
    const ended = new Promise((done) => this.#child.once('exit', done))
    this.#child.send('stop')
    const code = await watch(ended, () => 'the end of the process of the clients')
    if (code !== 0) violate(`the process of the clients ends with ${code}`)
  }

  /** At once, after a violation. */
  kill() {
    this.#isStopping = true
    this.#child?.kill('SIGKILL')
  }
}
