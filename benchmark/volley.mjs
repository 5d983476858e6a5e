// A load whose batches do not depend on the speed of the machine: while the server's process is
// stopped, every connection sends one message; then it goes on, and finds all of them at once.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

import { PlainError } from '../scripts/requirements.mjs'

const STOP_TIMEOUT_MS = 5000

/** Whether processes can be stopped and watched here. */
export const canVolley = process.platform === 'linux'

/** Fires `rounds` volleys at the echo server of process `pid`; resolves when all has come back. */
export async function volley(pid, port, { connections, size }, rounds) {
  const message = Buffer.alloc(size, 'v')
  const sockets = []
  try {
    for (let i = 0; i < connections; i += 1) {
      const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
      sockets.push(socket)
      await once(socket, 'connect')
    }
    for (let round = 0; round < rounds; round += 1) {
      process.kill(pid, 'SIGSTOP')
      try {
        await stopped(pid)
        const taken = sockets.map((socket) => new Promise((done) => socket.write(message, done)))
        await Promise.all(taken)
      } finally {
        process.kill(pid, 'SIGCONT')
      }
      await Promise.all(sockets.map((socket) => receive(socket, size)))
    }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function stopped(pid) {
  const end = Date.now() + STOP_TIMEOUT_MS
  while (!/\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) {
    if (Date.now() > end) throw new PlainError(`process ${pid} does not stop`)
    await turn()
  }
}

async function receive(socket, size) {
  for (let got = 0; got < size;) {
    const data = socket.read()
    if (data !== null) got += data.length
    else await once(socket, 'readable')
  }
}
