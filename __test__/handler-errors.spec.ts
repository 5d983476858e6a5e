import test from 'ava'
import type { CloseReason, Connection, EventLoopOptions } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { block, Countdown, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { echoServer, startServer } from './helpers/server.ts'

const COUNT = 100
const error = new Error('thrown by a handler')

/** How a handler may fail, and what onError is to hear. */
const failures: Record<string, [() => unknown, unknown]> = {
  throws: [
    () => {
      throw error
    },
    error,
  ],
  rejects: [() => Promise.reject(error), error],
  'throws after an await': [
    async () => {
      await turn()
      throw error
    },
    error,
  ],
  'throws a string': [
    () => {
      // oxlint-disable-next-line no-throw-literal
      throw 'not an error'
    },
    'not an error',
  ],
  'rejects with undefined': [() => Promise.reject(), undefined],
}

const places: Record<string, (fail: () => unknown) => EventLoopOptions> = {
  onConnect: (fail) => ({ onConnect: () => fail() as void }),
  onRequest: (fail) => ({ onRequest: () => fail() as void }),
  onDisconnect: (fail) => ({
    onRequest: ({ input }) => input.skip(input.length),
    onDisconnect: () => fail() as void,
  }),
  'a close callback': (fail) => ({
    onConnect: (connection) => void connection.addCloseCallback(() => fail() as void),
    onRequest: (connection) => void connection.close(),
  }),
}

for (const [place, options] of Object.entries(places)) {
  for (const [manner, [fail, expected]] of Object.entries(failures)) {
    test.serial(
      `H16: ${place} ${manner}: onError hears it once and the connection ends once`,
      async (t) => {
        await leakCheck(t)
        const heard: [unknown, Connection | undefined][] = []
        const ends: CloseReason[] = []
        const all = new Countdown(COUNT)
        const own = options(fail)
        const bystanders = await echoServer(t)
        const bystander = await Peer.connect(t, bystanders.address)
        const server = await startServer(t, {
          ...own,
          onConnect(connection, context) {
            connection.addCloseCallback((_, reason) => {
              ends.push(reason)
              all.pass()
            })
            return own.onConnect?.(connection, context)
          },
          onError: (thrown, connection) => void heard.push([thrown, connection]),
        })
        for (let index = 0; index < COUNT; index++) {
          const peer = await Peer.connect(t, server.address)
          peer.socket.on('error', () => {})
          if (place === 'onDisconnect') peer.end('x')
          else peer.socket.write('x')
        }
        await within(all.reached, 'all ends')
        await eventually(
          () => heard.length === COUNT,
          () => `${heard.length} calls of onError`,
        )
        t.deepEqual(
          heard.map(([thrown]) => thrown),
          Array(COUNT).fill(expected),
        )
        t.is(new Set(heard.map(([, connection]) => connection)).size, COUNT)
        const by = { onDisconnect: 'peer', 'a close callback': 'local' }[place] ?? 'error'
        for (const reason of ends) {
          t.is(reason.by, by as CloseReason['by'])
          if (by === 'error') t.is(reason.error, expected)
        }
        await bystander.send('still here')
        t.is((await bystander.read(10)).toString(), 'still here')
      },
    )
  }
}

for (const isOnErrorThrowing of [false, true]) {
  const what = isOnErrorThrowing ? 'handlers and onError throw' : 'handlers throw'
  test.serial(`H61: ${what} amid a batch of 100: the other 97 run exactly once`, async (t) => {
    await leakCheck(t)
    const uncaught: unknown[] = []
    const catchIt = (thrown: unknown): void => void uncaught.push(thrown)
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', catchIt)
    t.teardown(() => {
      process.off('uncaughtException', catchIt)
      for (const listener of listeners) process.on('uncaughtException', listener)
    })
    const runs: number[] = []
    let calls = 0
    let errors = 0
    const ended = new Countdown(3)
    const server = await startServer(t, {
      onConnect: (connection) => void connection.addCloseCallback(() => ended.pass()),
      onRequest({ input }) {
        const number = input.readBinary(4).readUInt32BE()
        if ([1, 50, 100].includes(++calls)) throw error
        runs.push(number)
      },
      onError() {
        errors++
        if (isOnErrorThrowing) throw new Error('onError throws as well')
      },
    })
    const peers: Peer[] = []
    for (let index = 0; index < 100; index++) peers.push(await Peer.connect(t, server.address))
    await eventually(() => server.loop.connectionCount === 100, 'all connections')
    for (const [index, { socket }] of peers.entries()) {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(index)
      socket.write(bytes)
    }
    block(100)
    await within(ended.reached, 'three ends')
    await eventually(
      () => calls === 100,
      () => `${calls} calls`,
    )
    await turn()
    t.is(calls, 100)
    t.is(new Set(runs).size, 97)
    t.is(errors, 3)
    t.is(server.loop.connectionCount, 97)
    if (isOnErrorThrowing) await eventually(() => uncaught.length === 3, 'uncaught exceptions')
    else t.deepEqual(uncaught, [])
  })
}

test('H16: what onError throws ends the process with code 1', async (t) => {
  const { code, signal, stderr } = await runChild(t, throwingOnError(''))
  t.is(signal, null)
  t.is(code, 1)
  t.regex(stderr, /Error: from onError/)
})

test('H16: a process that catches what onError throws serves the others', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    throwingOnError(`process.on('uncaughtException', ({ message }) => console.log(message))`),
  )
  t.is(stderr, '')
  t.is(code, 0)
  t.is(stdout, 'from onError\nechoed\n')
})

test('H16: without onError a failing handler is a warning, and the process goes on', async (t) => {
  const { code, stderr } = await runChild(t, throwingOnError('').replace(/onError[^]*?},/, ''))
  t.is(code, 0)
  t.regex(stderr, /Warning|Error: from onRequest/)
})

function throwingOnError(before: string): string {
  return `
    import { dial, serve } from 'nodepoll'
    ${before}
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onRequest(connection) {
        const text = connection.input.readString(4)
        if (text === 'fail') throw new Error('from onRequest')
        connection.write(text)
      },
      onError() {
        throw new Error('from onError')
      },
    })
    const bad = await dial({ host: '127.0.0.1', port: server.address.port })
    const good = await dial({ host: '127.0.0.1', port: server.address.port })
    bad.write('fail')
    await bad.closed
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    good.write('echo')
    await good.reader.skip(4)
    console.log('echoed')
    await good.close()
    await server.shutdown()
  `
}
