import test from 'ava'

import { runChild } from './helpers/child.ts'

/** Clients on a thread of their own: each says so many lines, one at a time, and checks them. */
const clients = `
  const { parentPort, workerData } = require('node:worker_threads')
  const net = require('node:net')
  async function converse(port, number, rounds) {
    const socket = net.connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay(true)
    let heard = ''
    const lines = socket.iterator()
    for (let round = 0; round < rounds; round++) {
      const said = number + ' says ' + round + '\\n'
      socket.write(said)
      while (heard.length < said.length) heard += (await lines.next()).value
      if (heard !== said) throw new Error('heard ' + heard + ' for ' + said)
      heard = ''
    }
    socket.end()
    const { done } = await lines.next()
    if (!done) throw new Error('heard more')
  }
  parentPort.on('message', async ({ port, count, rounds }) => {
    const all = Array.from({ length: count }, (_, number) => converse(port, number, rounds))
    parentPort.postMessage(await Promise.all(all).then(() => 'done', String))
  })
`

const program = `
  import { once } from 'node:events'
  import { Worker } from 'node:worker_threads'
  import { configure, serve, stats } from 'nodepoll'
  const worker = new Worker(${JSON.stringify(clients)}, { eval: true, execArgv: [] })
  async function converse(port, count, rounds) {
    worker.postMessage({ port, count, rounds })
    const [said] = await once(worker, 'message')
    if (said !== 'done') throw new Error(said)
  }
  const echo = ({ input, writer }) => void writer.append(input).flush()
`

for (const host of ['auto', 'thread', 'inline']) {
  test(`H86: with the host '${host}' bytes are exact, of few clients and many`, async (t) => {
    const { code, stdout, stderr } = await runChild(
      t,
      `${program}
      configure({ host: '${host}', pollers: 2 })
      const server = await serve({ host: '127.0.0.1', onRequest: echo })
      for (const [count, rounds] of [[1, 100], [100, 30], [1, 100]]) {
        await converse(server.address.port, count, rounds)
      }
      await server.shutdown()
      const { accepts, bytesRead, bytesWritten, arenaLeases, staleLeases } = stats()
      console.log(accepts, bytesRead === bytesWritten, arenaLeases, staleLeases)
      await worker.terminate()
      `,
    )
    t.deepEqual([code, stdout, stderr], [0, '102 true 0 0\n', ''])
  })
}

test("a driver goes to a thread when many are busy, and comes back: 'auto'", async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `${program}
    configure({ pollers: 1 })
    const server = await serve({ host: '127.0.0.1', onRequest: echo })
    const { port } = server.address
    await converse(port, 1, 20)
    const atFirst = stats()
    console.log(atFirst.switches, atFirst.wakeupsOfHost)
    // A crowd is busy together only while the machine lets it.
    for (let i = 0; i < 50 && stats().switches < 2; i++) await converse(port, 200, 20)
    console.log(stats().switches >= 2)
    for (let i = 0; i < 50 && stats().switches % 2 === 0; i++) await converse(port, 1, 200)
    console.log(stats().switches % 2)
    const before = stats().wakeupsOfHost
    await converse(port, 1, 50)
    console.log(stats().wakeupsOfHost - before)
    await server.shutdown()
    await worker.terminate()
    `,
  )
  t.deepEqual([code, stdout, stderr], [0, '1 0\ntrue\n1\n0\n', ''])
})

test("H61: an exception that nobody catches is the process's, and the rest goes on", async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `${program}
    configure({ host: 'inline' })
    const uncaught = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    let first = true
    const server = await serve({
      host: '127.0.0.1',
      onRequest: (connection) => {
        if (first) throw new Error('of the handler')
        echo(connection)
      },
      onError: (error) => {
        first = false
        throw new Error('of onError, for one ' + error.message)
      },
    })
    const said = await converse(server.address.port, 1, 1).catch((error) => error.message)
    console.log(said.includes('heard'), uncaught.join())
    await converse(server.address.port, 10, 10)
    await server.shutdown()
    await worker.terminate()
    `,
  )
  const expected = 'true of onError, for one of the handler\n'
  t.deepEqual([code, stdout, stderr], [0, expected, ''])
})

test('H48: a worker ends while its event loop watches drivers and their deadlines', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `
    import { readdirSync } from 'node:fs'
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    const source = \`
      const { parentPort } = require('node:worker_threads')
      const net = require('node:net')
      const { configure, serve } = require('nodepoll')
      async function main() {
        configure({ host: 'inline', pollers: 3 })
        // Peers that never end their side: each close waits for its deadline.
        const onConnect = (connection) => void connection.close()
        const server = await serve({ host: '127.0.0.1', onConnect })
        for (let i = 0; i < 6; i++) {
          net.connect({ port: server.address.port, allowHalfOpen: true }).on('end', () => {
            if (i === 5) parentPort.postMessage('ready')
          }).resume()
        }
      }
      main()
    \`
    const count = (what) => readdirSync('/proc/self/' + what).length
    async function live() {
      const worker = new Worker(source, { eval: true, execArgv: [] })
      await once(worker, 'message')
      await worker.terminate()
    }
    await live()
    const before = [count('fd'), count('task')]
    for (let i = 0; i < 5; i++) await live()
    console.log(String(before) === String([count('fd'), count('task')]))
    `,
  )
  t.deepEqual([code, stdout, stderr], [0, 'true\n', ''])
})
