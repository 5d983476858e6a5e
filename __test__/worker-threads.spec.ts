import test from 'ava'

import { runChild } from './helpers/child.ts'

/** A worker with connections that never rest; it answers `ping` with an echo of its own. */
const busyWorker = `
  const { parentPort } = require('node:worker_threads')
  const { dial, serve } = require('nodepoll')
  async function main() {
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onRequest: ({ input, writer }) => void writer.append(input).flush(),
    })
    const at = { host: '127.0.0.1', port: server.address.port }
    const echo = ({ input, writer }) => void writer.append(input).flush()
    const dials = Array.from({ length: 20 }, () => dial({ ...at, onRequest: echo }))
    const busy = await Promise.all(dials)
    for (const connection of busy) connection.write('x'.repeat(1000))
    const own = await dial(at)
    parentPort.on('message', async (text) => {
      if (text === 'return') {
        for (const connection of [...busy, own]) connection.destroy()
        await server.shutdown()
        parentPort.close()
        return
      }
      if (text === 'exit') process.exit(3)
      own.write(text)
      parentPort.postMessage(await own.reader.readString(text.length))
    })
    parentPort.postMessage('ready')
  }
  main()
`

const helpers = `
  import { readdirSync } from 'node:fs'
  import { once } from 'node:events'
  import { Worker } from 'node:worker_threads'
  const source = ${JSON.stringify(busyWorker)}
  const threads = () =>
    process.platform === 'linux' ? readdirSync('/proc/self/task').length : undefined
  const sockets = () =>
    process.platform === 'linux' ? readdirSync('/proc/self/fd').length : undefined
  async function startWorker() {
    const worker = new Worker(source, { eval: true, execArgv: [] })
    await once(worker, 'message')
    return worker
  }
  async function ping(worker) {
    worker.postMessage('ping')
    const [text] = await once(worker, 'message')
    if (text !== 'ping') throw new Error('got ' + text)
  }
  async function until(condition, what) {
    const end = performance.now() + 5000
    while (!condition()) {
      if (performance.now() > end) throw new Error('never: ' + what())
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
`

for (const ending of ['terminate', 'exit', 'return']) {
  test.serial(
    `H47: a worker that alone loads the package ends by ${ending} 20 times and leaves no thread`,
    async (t) => {
      const { code, signal, stdout, stderr } = await runChild(
        t,
        `
      ${helpers}
      const end = async (worker) => {
        if ('${ending}' === 'terminate') return await worker.terminate()
        worker.postMessage('${ending}')
        return (await once(worker, 'exit'))[0]
      }
      const expected = { terminate: 1, exit: 3, return: 0 }['${ending}']
      // The first one starts what Node itself keeps.
      await end(await startWorker())
      const before = [threads(), sockets()]
      for (let round = 0; round < 20; round++) {
        const worker = await startWorker()
        await ping(worker)
        const code = await end(worker)
        if (code !== expected) throw new Error('exit code ' + code)
      }
      const counts = () => [threads(), sockets(), 'before', ...before].join(' ')
      await until(() => threads() <= before[0] && sockets() <= before[1], counts)
      console.log('done')
      `,
      )
      t.deepEqual(
        { code, signal, stdout, stderr },
        { code: 0, signal: null, stdout: 'done\n', stderr: '' },
      )
    },
  )
}

test.serial(
  'H49: main and three workers end in several orders, and the rest keep echoing',
  async (t) => {
    const { code, signal, stdout, stderr } = await runChild(
      t,
      `
    ${helpers}
    import { dial, serve } from 'nodepoll'
    async function startMain() {
      const server = await serve({
        host: '127.0.0.1',
        port: 0,
        onRequest: ({ input, writer }) => void writer.append(input).flush(),
      })
      const own = await dial({ host: '127.0.0.1', port: server.address.port })
      return {
        async ping() {
          own.write('ping')
          if ((await own.reader.readString(4)) !== 'ping') throw new Error('a wrong echo')
        },
        async end() {
          own.destroy()
          await server.shutdown()
        },
      }
    }
    const asMember = (worker) => ({
      ping: () => ping(worker),
      end: () => worker.terminate(),
    })
    for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1], [3, 0, 2, 1]]) {
      const members = [await startMain()]
      while (members.length < 4) members.push(asMember(await startWorker()))
      const left = new Set(members)
      for (const index of order) {
        await Promise.all([...left].map((member) => member.ping()))
        left.delete(members[index])
        await members[index].end()
      }
    }
    console.log('done')
    `,
    )
    t.deepEqual(
      { code, signal, stdout, stderr },
      { code: 0, signal: null, stdout: 'done\n', stderr: '' },
    )
  },
)

test.serial('H110: views of an ended worker and of ended connections may be touched', async (t) => {
  const { code, signal, stdout, stderr } = await runChild(
    t,
    `
    import { serve, dial } from 'nodepoll'
    const views = []
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      autoRelease: false,
      onRequest({ input, writer }) {
        views.push(input.next(input.length))
        writer.malloc(10)
        views.push(writer.malloc(100))
        writer.flush()
      },
    })
    const at = { host: '127.0.0.1', port: server.address.port }
    for (let index = 0; index < 50; index++) {
      const connection = await dial(at)
      connection.write('x'.repeat(1000))
      views.push(await connection.reader.next(110))
      connection.destroy()
    }
    await server.shutdown()
    gc()
    process.on('exit', () => {
      gc()
      let sum = 0
      for (const view of views) for (const byte of view) sum += byte
      console.log(views.length, Number.isInteger(sum))
    })
    `,
    ['--expose-gc'],
  )
  t.deepEqual([code, signal, stderr], [0, null, ''])
  t.regex(stdout, /^\d+ true\n$/)
})
