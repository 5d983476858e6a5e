// Processes that are started here end with this one, however it ends.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

const children = new Set()

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(128 + constants.signals[signal]))
}

/**
 * Starts `[executable, ...args]`, on `cores` if there are some. `ended` resolves with how the
 * process has ended, once its output is read too.
 */
export function start([executable, ...args], { cores, stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
  // taskset becomes the program: the process has the same id.
  const command =
    cores === undefined ? [executable, ...args] : ['taskset', '-c', cores, executable, ...args]
  const child = spawn(command[0], command.slice(1), { stdio })
  children.add(child)
  const ended = new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) => {
      children.delete(child)
      done(code === null ? signal : `exit code ${code}`)
    })
  })
  return { child, ended }
}
