import { type ChildProcess, spawn } from 'node:child_process'

import type { ExecutionContext } from 'ava'

import { within } from './waiting.ts'

/** By it Node reads TypeScript with decorators. */
export const LOADER = '--import=@oxc-node/core/register'

/** A program of the package whose tests run; it is killed with its test at the latest. */
export class Program {
  readonly child: ChildProcess
  output = ''
  errors = ''
  readonly #ended: Promise<number | null>
  #look: () => void = () => {}

  constructor(t: ExecutionContext, path: string, ...args: string[]) {
    this.child = spawn(process.execPath, [LOADER, path, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.teardown(() => this.child.kill('SIGKILL'))
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
      this.#look()
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.errors += text))
    this.#ended = new Promise((resolve) => this.child.on('close', resolve))
    void this.#ended.then(() => this.#look())
  }

  /** What it has written matches, after so many characters of it. */
  async says(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const said = new Promise<RegExpExecArray>((resolve, reject) => {
      this.#look = () => {
        const match = pattern.exec(this.output.slice(from))
        const hasEnded = this.child.exitCode !== null || this.child.signalCode !== null
        if (match !== null) resolve(match)
        else if (hasEnded) reject(new Error(`it has ended: ${this.errors}`))
      }
      this.#look()
    })
    return within(said, `${pattern}: ${this.output.slice(-200)} ${this.errors}`)
  }

  /** Its exit code, after a signal if one is given. */
  end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.child.kill(signal)
    return within(this.#ended, `the end of a program: ${this.errors}`)
  }
}
