import test from 'ava'

import { runChild, startChild } from './helpers/child.ts'
import { startBlackHole } from './helpers/black-hole.ts'
import { leakCheck } from './helpers/leaks.ts'
import { startNetServer } from './helpers/server.ts'

/** In the scope of each program, with all that `nodepoll` exports. */
const prelude = `
  const at = ({ address: { address: host, port } }) => ({ host, port })
  const where = { host: '127.0.0.1', port: 0 }
  /** Says at the exit whether it came soon after this call. */
  function endsSoon() {
    const since = performance.now()
    process.on('exit', () => {
      const ms = performance.now() - since
      console.log(ms < 1000 ? 'soon' : 'after ' + ms + ' ms')
    })
  }
  /** Calls later, if something else has kept the process alive until then. */
  const ifAlive = (call) => void setTimeout(call, 300).unref()
  /** Keeps the process alive until a condition holds. */
  async function until(condition) {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  /** A loop's listener, one accepted connection and the dialled one at its other end. */
  async function open() {
    const echo = ({ input, writer }) => void writer.append(input).flush()
    const loop = createEventLoop({ onRequest: echo })
    const listener = await createListener(where)
    void loop.serve(listener)
    const dialled = await dial(at(listener))
    await until(() => loop.connectionCount === 1)
    const [accepted] = loop.connections()
    return { loop, listener, accepted, dialled }
  }
`

const exports = 'configure, createEventLoop, createListener, dial, serve, stats'

/** A program that is run in a process of its own, and another time in a worker of one. */
function programs(body: string): Record<'a process' | 'a worker', string> {
  const main = `async function main({ ${exports} }) { ${prelude} ${body} }`
  const worker = `${main}; main(require('nodepoll'))`
  return {
    'a process': `import * as nodepoll from 'nodepoll'; ${main}; void main(nodepoll)`,
    'a worker': `
      import { Worker } from 'node:worker_threads'
      new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [] })
        .on('exit', (code) => { if (code !== 0) process.exitCode = code })
    `,
  }
}

/** What a program does, and what it says until it ends by itself. */
const endings: Record<string, [body: string, said: string]> = {
  'the package is loaded and not used': ['endsSoon()', 'soon\n'],
  'there is an idle runtime': ['await (await createListener(where)).close(); endsSoon()', 'soon\n'],
  "listeners are unref'd": [
    `const listeners = [await createListener(where), await createListener(where)]
     for (const listener of listeners) listener.unref()
     endsSoon()`,
    'soon\n',
  ],
  "a server with connections is unref'd": [
    `const server = await serve(where)
     const dialled = await dial(at(server))
     await until(() => server.loop.connectionCount === 1)
     server.unref()
     dialled.unref()
     endsSoon()`,
    'soon\n',
  ],
  "a loop is unref'd before it serves, and so are the connections that come": [
    `const loop = createEventLoop({}).unref()
     const listener = await createListener(where)
     void loop.serve(listener)
     const dialled = await Promise.all([1, 2, 3].map(() => dial(at(listener))))
     await until(() => loop.connectionCount === 3)
     for (const connection of dialled) connection.unref()
     endsSoon()`,
    'soon\n',
  ],
  "a loop is unref'd while a connection is on its way": [
    `const loop = createEventLoop({})
     const listener = await createListener(where)
     void loop.serve(listener)
     const dialling = dial(at(listener))
     loop.unref()
     ;(await dialling).unref()
     await until(() => loop.connectionCount === 1)
     endsSoon()`,
    'soon\n',
  ],
  "a connection of an unref'd loop is ref'd": [
    `const { loop, accepted, dialled } = await open()
     loop.unref()
     dialled.unref()
     accepted.ref().addCloseCallback(() => endsSoon())
     ifAlive(() => { console.log('closing'); void accepted.close() })`,
    'closing\nsoon\n',
  ],
  "an unref'd loop is ref'd again": [
    `const { loop, dialled } = await open()
     loop.unref()
     dialled.unref()
     loop.ref()
     ifAlive(() => { console.log('shutting down'); void loop.shutdown().then(endsSoon) })`,
    'shutting down\nsoon\n',
  ],
  "a read with a timeout waits on an unref'd connection": [
    `const { loop, dialled } = await open()
     loop.unref()
     dialled.unref().setReadTimeout(5000)
     dialled.reader.wait(1).then(() => console.log('input'), () => console.log('late'))
     endsSoon()`,
    'soon\n',
  ],
  "a read with a timeout waits on a ref'd connection": [
    `const { loop, dialled } = await open()
     loop.unref()
     dialled.setReadTimeout(200)
     await dialled.reader.wait(1).catch((error) => console.log(error.code))
     dialled.unref()
     endsSoon()`,
    'ERR_NODEPOLL_READ_TIMEOUT\nsoon\n',
  ],
  "an unref'd connection has an idle timeout, which does not hold the process": [
    `const { loop, dialled } = await open()
     loop.unref()
     dialled.unref().setIdleTimeout(5000)
     endsSoon()`,
    'soon\n',
  ],
  "output of an unref'd connection is not taken": [
    `const { loop, accepted, dialled } = await open()
     accepted.pause()
     loop.unref()
     dialled.write(Buffer.alloc(32 << 20))
     dialled.writer.drained().catch(() => {})
     dialled.unref()
     endsSoon()`,
    'soon\n',
  ],
  'a handler is pending that waits for nothing': [
    `const server = await serve({ ...where, onConnect: () => new Promise(() => {}) })
     const dialled = await dial(at(server))
     await until(() => stats().handlersPending === 1)
     server.unref()
     dialled.unref()
     endsSoon()`,
    'soon\n',
  ],
  "all was toggled 1,000 times and is unref'd at last": [
    `const all = Object.values(await open())
     for (let round = 0; round < 1000; round++) {
       const one = all[(round * 7) % all.length]
       if (round % 3 === 0) one.ref()
       else one.unref()
     }
     for (const one of all) one.unref().unref()
     endsSoon()`,
    'soon\n',
  ],
  "all was toggled 1,000 times and one is ref'd at last": [
    `const { dialled, ...rest } = await open()
     const all = [dialled, ...Object.values(rest)]
     for (let round = 0; round < 1000; round++) {
       const one = all[(round * 7) % all.length]
       if (round % 3 === 0) one.unref()
       else one.ref()
     }
     for (const one of all) one.unref()
     dialled.ref().ref()
     ifAlive(() => { console.log('closing'); void dialled.close().then(endsSoon) })`,
    'closing\nsoon\n',
  ],
  'what has ended is toggled': [
    `const { loop, listener, accepted, dialled } = await open()
     const end = dialled.close()
     for (const one of [dialled, accepted, listener]) one.unref().ref()
     await end
     await loop.shutdown()
     for (const one of [dialled, accepted, listener, loop]) one.ref().unref().ref()
     endsSoon()`,
    'soon\n',
  ],
  "what is toggled after its end does not take another one's part": [
    `const { loop, listener, accepted, dialled } = await open()
     const other = await createListener(where)
     dialled.destroy()
     await loop.shutdown()
     for (const one of [dialled, accepted, listener, loop]) one.unref().unref()
     ifAlive(() => { console.log('closing'); void other.close().then(endsSoon) })`,
    'closing\nsoon\n',
  ],
  'a dial has failed': [
    `const listener = await createListener(where)
     await listener.close()
     await dial(at(listener)).catch((error) => console.log(error.code))
     endsSoon()`,
    'ECONNREFUSED\nsoon\n',
  ],
}

// Every mixture: alive as long as one of three is ref'd.
const kinds = ['listener', 'accepted', 'dialled']
for (let bits = 1; bits < 8; bits++) {
  const reffed = kinds.filter((_, index) => bits & (1 << index))
  endings[`only ${reffed.join(' and ')} ${reffed.length === 1 ? 'is' : 'are'} ref'd`] = [
    `const all = await open()
     all.loop.unref()
     all.dialled.unref()
     const reffed = ${JSON.stringify(reffed)}
     for (const kind of reffed) all[kind].ref()
     // The end of one side would be the other's.
     const steps = reffed.includes('listener') ? ['listener'] : []
     if (reffed.length > steps.length) steps.push('accepted')
     const step = () => {
       const kind = steps.shift()
       if (kind === undefined) return endsSoon()
       ifAlive(async () => {
         console.log('closing', kind)
         const closing = all[kind].close()
         // What is unref'd is not waited for.
         if (kind === 'listener') await closing
         else for (const one of reffed) if (one !== 'listener') await all[one].closed
         step()
       })
     }
     step()`,
    [
      ...(reffed.includes('listener') ? ['closing listener\n'] : []),
      ...(reffed.some((kind) => kind !== 'listener') ? ['closing accepted\n'] : []),
      'soon\n',
    ].join(''),
  ]
}

for (const [what, [body, said]] of Object.entries(endings)) {
  for (const [place, source] of Object.entries(programs(body))) {
    test.serial(`H74: ${place} ends by itself when due: ${what}`, async (t) => {
      const { code, signal, stdout, stderr } = await runChild(t, source)
      t.deepEqual(
        { code, signal, stdout, stderr },
        { code: 0, signal: null, stdout: said, stderr: '' },
      )
    })
  }
}

test.serial('H74: a dial that waits keeps the process alive until it is given up', async (t) => {
  await leakCheck(t)
  const { port } = await startBlackHole(t)
  for (const source of Object.values(
    programs(`
      const controller = new AbortController()
      const options = { host: '127.0.0.1', port: ${port}, signal: controller.signal }
      dial(options).catch((error) => { console.log(error.name); endsSoon() })
      ifAlive(() => controller.abort())
    `),
  )) {
    const { code, stdout, stderr } = await runChild(t, source)
    t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'AbortError\nsoon\n', stderr: '' })
  }
})

test.serial(
  'H74: a close that still sends keeps the process alive until all is sent',
  async (t) => {
    await leakCheck(t)
    const BYTES = 16 << 20
    let received = 0
    const { port } = await startNetServer(t, (socket) => {
      socket.pause()
      socket.on('data', (chunk: Buffer) => (received += chunk.length))
      setTimeout(() => socket.resume(), 300)
    })
    const child = startChild(
      t,
      programs(`
      const connection = await dial({ host: '127.0.0.1', port: ${port} })
      connection.write(Buffer.alloc(${BYTES}))
      void connection.close()
    `)['a process'],
    )
    const { code, stdout, stderr } = await child.end()
    t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' })
    t.is(received, BYTES)
  },
)
