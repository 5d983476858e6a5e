import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { PassThrough } from 'node:stream'

import test from 'ava'
import { createListener, dial, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { codeOf, eventually, failureOf, turn, within } from './helpers/deadline.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { echoServer, startServer, temporaryPath, whereOf } from './helpers/server.ts'

const LINUX = process.platform === 'linux'

test.serial(
  'H1, H2: 2,000 connections closed from both ends at once open and close once each',
  async (t) => {
    await leakCheck(t)
    let opens = 0
    let closes = 0
    const server = await startServer(t, {
      onConnect(connection) {
        opens++
        connection.addCloseCallback(() => void closes++)
      },
      onRequest: (connection) => void connection.close(),
    })
    const where = whereOf(server.address)
    let clientCloses = 0
    const run = async (rounds: number, kind: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        const connection = await within(dial(where), 'a dial')
        connection.addCloseCallback(() => void clientCloses++)
        connection.write('end')
        if (kind % 4 !== 0) await turn()
        if ((kind + round) % 3 === 0) connection.destroy()
        else if ((kind + round) % 3 === 1) connection.reset()
        else void connection.close()
        await within(connection.closed, 'the end')
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_, kind) => run(100, kind)))
    await eventually(() => server.loop.connectionCount === 0, 'all have ended')
    t.is(clientCloses, 2000)
    t.is(opens, closes)
    t.true(opens > 0 && opens <= 2000)
    t.is(stats().connections, 0)
  },
)

test.serial(
  'H6: late writes throw, and no peer ever gets the bytes of another connection',
  async (t) => {
    await leakCheck(t)
    let late = 0
    const server = await startServer(t, {
      onRequest(connection) {
        const { input } = connection
        const id = input.readString(input.length)
        connection.addCloseCallback(() => {
          const error = t.throws(() => connection.write(`late ${id}`))
          if (codeOf(error) === 'ERR_NODEPOLL_CONNECTION_CLOSED') late++
        })
        connection.write(`reply to ${id}`)
      },
    })
    const rounds = 150
    await Promise.all(
      Array.from({ length: 8 }, async (_, client) => {
        for (let round = 0; round < rounds; round++) {
          const peer = await Peer.connect(t, server.address)
          const id = `client ${client}, round ${round}.`
          await peer.send(id)
          const reply = `reply to ${id}`
          if ((await peer.read(reply.length)).toString() !== reply) throw new Error('foreign bytes')
          if (round % 2 === 0) peer.end()
          else peer.reset()
          await peer.closed
          if (peer.bytesReceived !== reply.length) throw new Error('more than the reply')
        }
      }),
    )
    await eventually(
      () => late === 8 * rounds,
      () => `${late} late writes`,
    )
    t.is(late, 8 * rounds)
  },
)

test.serial(
  'H57: peers reset while we write and close: nothing reaches the next one',
  async (t) => {
    await leakCheck(t)
    let settled = 0
    let rounds = 0
    const drained = (): void => void settled++
    const server = await startServer(t, {
      onRequest(connection) {
        const { input, writer } = connection
        const id = input.next(1)[0] as number
        input.skip(input.length)
        rounds++
        for (let part = 0; part < 3; part++) {
          writer.writeBinary(Buffer.alloc(100_000, id)).flush()
          writer.drained().then(drained, drained)
        }
        if (id % 2 === 0) connection.pause().setIdleTimeout(1000).resume()
        if (id % 3 === 0) void connection.close()
      },
      onError: () => {},
    })
    await Promise.all(
      Array.from({ length: 16 }, async (_, client) => {
        for (let round = 0; round < 60; round++) {
          const peer = await Peer.connect(t, server.address)
          const id = (client * 60 + round) % 251
          await peer.send(Buffer.of(id))
          const some = await peer.read(1000)
          if (some.some((byte) => byte !== id)) throw new Error('foreign bytes')
          if (round % 5 !== 0) peer.reset()
          else peer.socket.destroy()
        }
      }),
    )
    await eventually(() => server.loop.connectionCount === 0, 'all have ended')
    await eventually(
      () => settled === 3 * rounds,
      () => `${settled} of ${3 * rounds} settled`,
    )
    t.is(settled, 3 * rounds)
  },
)

test.serial('H57: commands that come too late are counted, and do nothing', async (t) => {
  const { stdout, stderr } = await runChild(
    t,
    `
    import { spawn } from 'node:child_process'
    import { configure, serve, stats } from 'nodepoll'
    configure({ host: 'thread' })
    let reason
    const server = await serve({
      host: '127.0.0.1',
      onRequest(connection) {
        connection.input.skip(1)
        connection.closed.then(({ by }) => (reason = by))
        // The peer is reset, and the thread has freed its row, before anything is said of it here.
        const never = new Int32Array(new SharedArrayBuffer(4))
        while (stats().connections > 0) Atomics.wait(never, 0, 0, 5)
        connection.pause().setIdleTimeout(5).setNoDelay(false).resume().write('too late')
      },
    })
    const { port } = server.address
    const peer = "const socket = require('net').connect(" + port + ", '127.0.0.1', () => {" +
      "socket.write('x'); setTimeout(() => socket.resetAndDestroy(), 50)})"
    spawn(process.execPath, ['-e', peer])
    while (reason === undefined || stats().staleCommands < 5) {
      await new Promise((done) => setTimeout(done, 5))
    }
    console.log(reason, stats().staleCommands)
    await server.shutdown()
    `,
  )
  t.is(stdout.trim(), 'error 5', stderr)
})

test.serial(
  'H9, H21: listeners, files and pipes come and go, and no descriptor is closed twice',
  async (t) => {
    await leakCheck(t)
    const server = await echoServer(t)
    const where = whereOf(server.address)
    const path = temporaryPath(t, 'file')
    writeFileSync(path, 'untouched')
    const over = new AbortController()
    let echoes = 0
    const dialers = Array.from({ length: 8 }, async () => {
      while (!over.signal.aborted) {
        const connection = await dial(where)
        connection.write('ping')
        if ((await connection.reader.readString(4)) !== 'ping') throw new Error('no echo')
        echoes++
        await connection.close()
      }
    })
    for (let round = 0; round < 200; round++) {
      const listener = await createListener({ host: '127.0.0.1', port: 0 })
      const file = openSync(path, 'r')
      const text = readFileSync(file, 'utf8')
      if (text !== 'untouched') throw new Error('another file')
      const pipe = new PassThrough()
      const piping = pipeline(pipe, async (source) => {
        for await (const chunk of source) if (String(chunk) !== 'x') throw new Error('other bytes')
      })
      pipe.end('x')
      await Promise.all([listener.close(), piping])
      // Throws EBADF if somebody else has closed it.
      closeSync(file)
    }
    over.abort()
    await within(Promise.all(dialers), 'the dialers')
    t.true(echoes > 0)
  },
)

test.serial(
  'H8: what is only referred to by its socket lives on, and goes when it ends',
  async (t) => {
    await leakCheck(t)
    const ended: WeakRef<object>[] = []
    let closeCallbacks = 0
    const port = await (async () => {
      const server = await startServer(t, {
        onConnect(connection) {
          ended.push(new WeakRef(connection))
          connection.addCloseCallback(() => void closeCallbacks++)
        },
        onRequest: ({ input, writer }) => void writer.append(input).flush(),
      })
      return server.address
    })()
    const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.connect(t, port)))
    for (let round = 0; round < 50; round++) {
      if (round % 5 === 0) await collectGarbage()
      await Promise.all(
        peers.map(async (peer) => {
          await peer.send('ping')
          if ((await peer.read(4)).toString() !== 'ping') throw new Error('no echo')
        }),
      )
    }
    for (const peer of peers) peer.end()
    await eventually(() => closeCallbacks === peers.length, 'each close callback')
    await eventually(() => {
      void collectGarbage()
      return ended.every((reference) => reference.deref() === undefined)
    }, 'the connections are collected')
    t.is(ended.length, peers.length)
  },
)

test.serial('H94: signals with a handler disturb no traffic', async (t) => {
  await leakCheck(t)
  let signals = 0
  const count = (): void => void signals++
  process.on('SIGUSR2', count)
  t.teardown(() => process.off('SIGUSR2', count))
  const server = await echoServer(t)
  const peer = await Peer.connect(t, server.address)
  for (let round = 0; round < 300; round++) {
    const sent = Buffer.alloc(5_000, round)
    if (LINUX) process.kill(process.pid, 'SIGUSR2')
    await peer.send(sent)
    if (!(await peer.read(sent.length)).equals(sent)) throw new Error('wrong bytes')
  }
  t.true(signals > 0 || !LINUX)
  t.is(server.loop.connectionCount, 1)
  peer.end()
  if (LINUX) t.true(readdirSync('/proc/self/fd').length > 0)
  t.like(await failureOf(dial({ host: '127.0.0.1', port: 1 })), { code: 'ECONNREFUSED' })
})
