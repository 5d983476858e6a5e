// A server that is asked for what it has counted.
import { createInterface } from 'node:readline'

import { PlainError } from '../scripts/requirements.mjs'
import { start } from './processes.mjs'

/**
 * Starts `command`, a program for Node that prints `listening PORT`, answers the messages of its
 * parent process one by one and ends when that goes away.
 */
export async function startAsked(command) {
  const { child, ended } = start(command, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const listening = new Promise((done) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /^listening (\d+)$/.exec(line)
      if (match !== null) done(Number(match[1]))
    })
  })
  const port = await Promise.race([listening, ended])
  if (typeof port !== 'number') throw new PlainError(`the server did not start: ${port}`)
  return {
    pid: child.pid,
    port,
    ask: (question) =>
      new Promise((done) => {
        child.once('message', done)
        child.send(question)
      }),
    stop: () => (child.kill('SIGKILL'), ended),
  }
}
