import test, { type ExecutionContext } from 'ava'

import { busyConnections, type Outcome, runChild, startChild } from './helpers/child.ts'
import { TEARDOWNS, timeFor } from './helpers/runs.ts'

/** Processes that end at the same time. */
const AT_ONCE = 2

const clean: Outcome = { code: 0, signal: null, stdout: '', stderr: '' }

const idlePrograms: Record<string, string> = {
  'the package is loaded and not used': `import 'nodepoll'`,
  'only stats() is asked': `import { stats } from 'nodepoll'; stats()`,
  'only configure() is called': `import { configure } from 'nodepoll'; configure({ pollers: 2 })`,
  'a loop has nothing to serve': `import { createEventLoop } from 'nodepoll'; createEventLoop({})`,
  'a listener is closed again': `
    import { createListener } from 'nodepoll'
    const listener = await createListener({ host: '127.0.0.1' })
    await listener.close()`,
  'a dial fails': `
    import { createListener, dial } from 'nodepoll'
    const listener = await createListener({ host: '127.0.0.1' })
    await listener.close()
    await dial(at(listener)).catch(() => {})
    function at({ address: { address: host, port } }) { return { host, port } }`,
  'a server is shut down after some traffic': `
    import { dial, serve } from 'nodepoll'
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onRequest: ({ input, writer }) => void writer.append(input).flush(),
    })
    const connection = await dial({ host: '127.0.0.1', port: server.address.port })
    connection.write('hello')
    await connection.reader.skip(5)
    await connection.close()
    await server.shutdown()`,
}

for (const [what, source] of Object.entries(idlePrograms)) {
  test(`H74: the process exits by itself when ${what}`, async (t) => {
    t.deepEqual(await runChild(t, source), clean)
  })
}

test('H74: an open listener keeps the process alive until it is closed', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `
    import { createListener } from 'nodepoll'
    const listener = await createListener({ host: '127.0.0.1' })
    // Does not keep the process alive by itself.
    setTimeout(() => listener.close().then(() => console.log('closed')), 200).unref()
    `,
  )
  t.deepEqual([code, stdout, stderr], [0, 'closed\n', ''])
})

for (const side of ['accepted', 'dialled']) {
  test(`H74: an open ${side} connection keeps the process alive until it ends`, async (t) => {
    const { code, stdout, stderr } = await runChild(
      t,
      `
      import { createServer, connect } from 'node:net'
      import { dial, serve } from 'nodepoll'
      const done = (connection) => {
        connection.addCloseCallback(() => console.log('ended'))
        setTimeout(() => void connection.close(), 200).unref()
      }
      if ('${side}' === 'accepted') {
        const server = await serve({ host: '127.0.0.1', port: 0, onConnect: done })
        connect(server.address.port, '127.0.0.1').on('connect', () => server.close()).unref()
      } else {
        const server = createServer((socket) => socket.unref()).listen(0, '127.0.0.1', async () => {
          done(await dial({ host: '127.0.0.1', port: server.address().port }))
          server.unref()
        })
      }
      `,
    )
    t.deepEqual([code, stdout, stderr], [0, 'ended\n', ''])
  })
}

/** How a process with 100 busy connections may end, and what is to be seen then. */
const endings: Record<string, [string, Partial<Outcome>]> = {
  'process.exit() in a handler': [
    `let replies = 0
     await load(100, () => { if (++replies > 1000) process.exit(7) })`,
    { code: 7, signal: null, stderr: '' },
  ],
  'process.exit() in a close callback': [
    `const { connections } = await load(100, () => {}, () => process.exit(8))
     connections[50].destroy()`,
    { code: 8, signal: null, stderr: '' },
  ],
  'process.exit() in a timer': [
    `await load(100)
     setTimeout(() => process.exit(9), 20)`,
    { code: 9, signal: null, stderr: '' },
  ],
  'an uncaught exception': [
    `await load(100)
     setTimeout(() => { throw new Error('nobody catches this') }, 20)`,
    { code: 1, signal: null },
  ],
  'an unhandled rejection': [
    `await load(100)
     Promise.reject(new Error('nobody catches this'))`,
    { code: 1, signal: null },
  ],
  SIGTERM: [
    `await load(100)
     process.kill(process.pid, 'SIGTERM')
     setTimeout(() => process.exit(1), 5000)`,
    { code: null, signal: 'SIGTERM', stderr: '' },
  ],
  SIGINT: [
    `await load(100)
     process.kill(process.pid, 'SIGINT')
     setTimeout(() => process.exit(1), 5000)`,
    { code: null, signal: 'SIGINT', stderr: '' },
  ],
  'SIGTERM with a handler that exits': [
    `process.on('SIGTERM', () => process.exit(10))
     await load(100)
     process.kill(process.pid, 'SIGTERM')`,
    { code: 10, signal: null, stderr: '' },
  ],
  'unref() of all that is open': [
    `const { server, connections } = await load(100)
     server.unref()
     for (const connection of connections) connection.unref()`,
    { code: 0, signal: null, stderr: '' },
  ],
  'the end of everything': [
    `const { server, connections } = await load(100)
     for (const connection of connections) connection.destroy()
     await server.shutdown()`,
    { code: 0, signal: null, stderr: '' },
  ],
}

for (const [ending, [source, expected]] of Object.entries(endings)) {
  test.serial(
    `H48, H66: ${ending} ends a process with 100 busy connections, ${TEARDOWNS} times`,
    async (t) => {
      t.timeout(timeFor(TEARDOWNS, 2_000))
      const outcomes: Outcome[] = []
      let left = TEARDOWNS
      const runs = Array.from({ length: AT_ONCE }, async () => {
        while (left-- > 0) outcomes.push(await runBusy(t, source))
      })
      await Promise.all(runs)
      t.is(outcomes.length, TEARDOWNS)
      for (const outcome of outcomes) {
        t.like(outcome, expected)
        t.is(outcome.stdout, '')
        t.notRegex(outcome.stderr, /panic|FATAL|abort|terminate called|Assertion/i)
        if (expected.code === 1) t.regex(outcome.stderr, /Error: nobody catches this/)
      }
    },
  )
}

function runBusy(t: ExecutionContext<unknown>, source: string): Promise<Outcome> {
  return runChild(t, `${busyConnections}\n${source}`)
}

test.serial('H48: peers see the end of a process that was killed', async (t) => {
  const child = startChild(
    t,
    `
    import { serve } from 'nodepoll'
    const server = await serve({ host: '127.0.0.1', port: 0 })
    console.log('port', server.address.port)
    `,
  )
  const [, port] = await child.line(/port (\d+)/)
  const { Peer } = await import('./helpers/peer.ts')
  const peer = await Peer.connect(t, {
    family: 'IPv4',
    address: '127.0.0.1',
    port: Number(port),
  })
  child.process.kill('SIGKILL')
  await child.end()
  await peer.closed
  t.pass()
})
