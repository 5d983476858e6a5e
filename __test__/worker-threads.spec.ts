import test from 'ava'

import { runChild, startChild } from './helpers/child.ts'
import { TEARDOWNS, timeFor } from './helpers/runs.ts'

const ENDINGS = ['terminate', 'exit', 'return']

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
  let pings = 0
  async function ping(worker) {
    const said = 'ping ' + pings++
    worker.postMessage(said)
    const [heard] = await once(worker, 'message')
    if (heard !== said) throw new Error('got ' + heard + ' for ' + said)
  }
  const codes = { terminate: 1, exit: 3, return: 0 }
  async function end(worker, ending) {
    const exited = once(worker, 'exit')
    if (ending === 'terminate') void worker.terminate()
    else worker.postMessage(ending)
    const [code] = await exited
    if (code !== codes[ending]) throw new Error('exit code ' + code + ' after ' + ending)
  }
  async function until(condition, what) {
    const end = performance.now() + 5000
    while (!condition()) {
      if (performance.now() > end) throw new Error('never: ' + what())
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
`

for (const ending of ENDINGS) {
  test.serial(
    `H47: a worker that alone loads the package ends by ${ending} ${TEARDOWNS} times and leaves ` +
      'no thread',
    async (t) => {
      const ms = timeFor(TEARDOWNS, 2_000)
      t.timeout(ms)
      const child = startChild(
        t,
        `
      ${helpers}
      // The first one starts what Node itself keeps.
      await end(await startWorker(), '${ending}')
      const before = [threads(), sockets()]
      for (let round = 0; round < ${TEARDOWNS}; round++) {
        const worker = await startWorker()
        await ping(worker)
        await end(worker, '${ending}')
      }
      const counts = () => [threads(), sockets(), 'before', ...before].join(' ')
      await until(() => threads() <= before[0] && sockets() <= before[1], counts)
      console.log('done')
      `,
      )
      const { code, signal, stdout, stderr } = await child.end(ms)
      t.deepEqual(
        { code, signal, stdout, stderr },
        { code: 0, signal: null, stdout: 'done\n', stderr: '' },
      )
    },
  )
}

/** Every order of so many numbers from 0 on. */
function ordersOf(count: number): number[][] {
  if (count === 0) return [[]]
  return ordersOf(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, place) => order.toSpliced(place, 0, count - 1)),
  )
}

/** So many of them, one after the other. No two of a few begin alike, and 24 are all of them. */
const orders = Array.from({ length: TEARDOWNS }, (_, round) => {
  const all = ordersOf(4)
  return all[(round * 7) % all.length]
})

test.serial(
  'H49: main and three workers end in every order and way, and the rest keep echoing',
  async (t) => {
    const ms = timeFor(TEARDOWNS, 4_000)
    t.timeout(ms)
    const child = startChild(
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
    const endings = ${JSON.stringify(ENDINGS)}
    let ended = 0
    const asMember = (worker) => ({
      ping: () => ping(worker),
      end: () => end(worker, endings[ended++ % endings.length]),
    })
    for (const order of ${JSON.stringify(orders)}) {
      const workers = await Promise.all([1, 2, 3].map(startWorker))
      const members = [await startMain(), ...workers.map(asMember)]
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
    const { code, signal, stdout, stderr } = await child.end(ms)
    t.deepEqual(
      { code, signal, stdout, stderr },
      { code: 0, signal: null, stdout: 'done\n', stderr: '' },
    )
  },
)

test.serial('H49: what belongs to one environment is refused in another', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    import { createEventLoop, createListener, dial, LinkBuffer, serve } from 'nodepoll'
    const source = \`
      const { parentPort } = require('node:worker_threads')
      const { createEventLoop, LinkBuffer } = require('nodepoll')
      parentPort.on('message', async (value) => {
        const codes = []
        try { await createEventLoop({}).serve(value) } catch ({ code }) { codes.push(code) }
        try { new LinkBuffer().append(value) } catch ({ code }) { codes.push(code) }
        parentPort.postMessage(codes.join())
      })
    \`
    const worker = new Worker(source, { eval: true, execArgv: [] })
    const server = await serve({ host: '127.0.0.1' })
    const connection = await dial({ host: '127.0.0.1', port: server.address.port })
    const listener = await createListener({ host: '127.0.0.1' })
    const buffer = new LinkBuffer().writeString('abc').flush()
    const { input, reader, writer } = connection
    const loop = createEventLoop({})
    const all = { server, connection, listener, loop, reader, writer, input, buffer }
    const answers = {}
    for (const [name, value] of Object.entries(all)) {
      try {
        worker.postMessage(value)
        answers[name] = (await once(worker, 'message'))[0]
      } catch (error) {
        answers[name] = error.name
      }
    }
    console.log(JSON.stringify(answers), buffer.readString(3))
    buffer.close()
    await worker.terminate()
    await listener.close()
    await connection.close()
    await server.shutdown()
    `,
  )
  t.deepEqual([code, stderr], [0, ''])
  const refused = 'ERR_INVALID_ARG_TYPE,ERR_INVALID_ARG_TYPE'
  t.deepEqual(JSON.parse(stdout.slice(0, stdout.lastIndexOf(' '))), {
    server: 'DataCloneError',
    connection: 'DataCloneError',
    listener: 'DataCloneError',
    loop: refused,
    reader: refused,
    writer: refused,
    input: refused,
    buffer: refused,
  })
  t.true(stdout.endsWith(' abc\n'))
})

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
