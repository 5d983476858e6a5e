import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Failure } from '../failure.ts'

/** A process that answers with messages of the type `M`. */
export class Helper<M extends object> {
  readonly #child: ChildProcess
  readonly #name: string
  #errors = ''

  constructor(name: 'server' | 'load', argument: string, signal: AbortSignal) {
    this.#name = name
    const file = new URL(name + extname(import.meta.url), import.meta.url)
    this.#child = fork(fileURLToPath(file), [argument], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      signal,
      killSignal: 'SIGKILL',
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    // Those who wait for a message learn of it by the end of the process.
    this.#child.on('error', () => {})
  }

  /** Waits for a message, which is the one that has this field. */
  next<K extends KeysOf<M>>(field: K): Promise<Extract<M, Record<K, unknown>>> {
    return new Promise((resolve, reject) => {
      const closed = (): void => {
        const why = this.#errors === '' ? '' : `: ${this.#errors.trim()}`
        reject(new Failure(`the process of the ${this.#name} has ended${why}`))
      }
      this.#child.once('close', closed)
      this.#child.once('message', (message: Extract<M, Record<K, unknown>>) => {
        this.#child.removeListener('close', closed)
        if (field in message) resolve(message)
        else reject(new TypeError(`the ${this.#name} has sent no ${String(field)}`))
      })
    })
  }

  /** Says that it may go on, and waits for a message. */
  ask<K extends KeysOf<M>>(field: K): Promise<Extract<M, Record<K, unknown>>> {
    const answer = this.next(field)
    this.#child.send('go on', () => {})
    return answer
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}

type KeysOf<M> = M extends object ? keyof M : never
