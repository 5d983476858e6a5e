import test from 'ava'
import { createEventLoop, createListener, dial } from 'nodepoll'

import {
  block,
  Countdown,
  deferred,
  eventually,
  failureOf,
  turn,
  within,
} from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, startServer, whereOf } from './helpers/server.ts'

const where = { host: '127.0.0.1', port: 0 }

test.serial(
  'shutdown() closes idle connections gracefully, with the reason shutdown',
  async (t) => {
    await leakCheck(t)
    const { connection, peer, server } = await openPair(t)
    await within(server.shutdown(), 'shutdown()')
    t.deepEqual(await connection.closed, { by: 'shutdown' })
    t.is((await peer.readToEnd()).length, 0)
    t.is(server.loop.connectionCount, 0)
  },
)

test.serial('shutdown() waits for a busy connection, whose reply arrives whole', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const started = deferred()
  const { peer, server } = await openPair(t, {
    async onRequest({ input, writer }) {
      started.resolve()
      await gate.promise
      input.skip(input.length)
      writer.writeString('x'.repeat(3_000_000)).flush()
    },
  })
  await peer.send('request')
  await within(started.promise, 'onRequest')
  let isShutDown = false
  const shutting = server.shutdown().then(() => (isShutDown = true))
  await turn()
  t.false(isShutDown)
  gate.resolve()
  t.is((await peer.readToEnd()).length, 3_000_000)
  await within(shutting, 'shutdown()')
})

test.serial('H20: a paused connection to which nothing was sent is idle', async (t) => {
  await leakCheck(t)
  const { connection, peer, server } = await openPair(t)
  connection.pause()
  await turn()
  await within(server.shutdown(), 'shutdown()')
  t.deepEqual(await connection.closed, { by: 'shutdown' })
  t.is((await peer.readToEnd()).length, 0)
})

test.serial('H19: a request to a paused connection is served before shutdown() ends', async (t) => {
  await leakCheck(t)
  const { connection, peer, server } = await openPair(t, {
    onRequest({ input, writer }) {
      writer.append(input).flush()
    },
  })
  connection.pause()
  await turn()
  await peer.send('request')
  let isShutDown = false
  const shutting = server.shutdown().then(() => (isShutDown = true))
  for (let round = 0; round < 20; round++) await turn()
  t.false(isShutDown)
  connection.resume()
  t.is((await peer.readToEnd()).toString(), 'request')
  await within(shutting, 'shutdown()')
})

test.serial('shutdown() accepts no more clients', async (t) => {
  await leakCheck(t)
  const { server } = await openPair(t)
  await within(server.shutdown(), 'shutdown()')
  t.like(await failureOf(dial(whereOf(server.address))), { code: 'ECONNREFUSED' })
  const again = await createListener(whereOf(server.address) as typeof where)
  await again.close()
})

test.serial(
  'after the deadline shutdown() rejects, and goes on until the last one has ended',
  async (t) => {
    await leakCheck(t)
    const gate = deferred()
    const { connection, peer, server } = await openPair(t, {
      async onRequest({ input }) {
        input.skip(input.length)
        await gate.promise
      },
    })
    await peer.send('x')
    await eventually(() => connection.input.length === 0 && connection.bytesRead === 1, 'onRequest')
    const error = await failureOf(server.shutdown({ deadlineMs: 50 }))
    t.like(error, { code: 'ERR_NODEPOLL_DEADLINE', name: 'NodepollError' })
    t.true(connection.isActive)
    t.is(server.loop.connectionCount, 1)
    gate.resolve()
    await within(server.finished, 'the end')
  },
)

test.serial('H20: with force what remains is ended before shutdown() rejects', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const all = new Countdown(10)
  const server = await startServer(t, {
    async onRequest() {
      all.pass()
      await gate.promise
    },
  })
  const peers = await Promise.all(Array.from({ length: 10 }, () => Peer.connect(t, server.address)))
  for (const { socket } of peers) {
    socket.on('error', () => {})
    socket.write('x')
  }
  await within(all.reached, 'all requests')
  const began = performance.now()
  const error = await failureOf(server.shutdown({ deadlineMs: 50, force: true }))
  t.like(error, { code: 'ERR_NODEPOLL_DEADLINE' })
  t.true(performance.now() - began < 2_000)
  for (const peer of peers) await within(peer.closed, 'an ended socket')
  gate.resolve()
  await within(server.finished, 'the end')
  t.is(server.loop.connectionCount, 0)
})

test.serial(
  'H20: a second shutdown() joins the first, and each rejects at its own deadline',
  async (t) => {
    await leakCheck(t)
    const gate = deferred()
    const { connection, peer, server } = await openPair(t, { onRequest: () => gate.promise })
    await peer.send('x')
    await eventually(() => connection.bytesRead === 1, 'onRequest')
    let first = 'pending'
    const shutting = server.shutdown().then(() => (first = 'resolved'))
    t.like(await failureOf(server.shutdown({ deadlineMs: 30 })), { code: 'ERR_NODEPOLL_DEADLINE' })
    t.like(await failureOf(server.shutdown({ deadlineMs: 0 })), { code: 'ERR_NODEPOLL_DEADLINE' })
    t.is(first, 'pending')
    connection.input.skip(1)
    gate.resolve()
    await within(shutting, 'the first shutdown()')
    await within(server.shutdown(), 'a shutdown() afterwards')
    await within(server.shutdown({ deadlineMs: 10_000 }), 'a shutdown() with a deadline afterwards')
  },
)

test.serial(
  'H20: serve() after shutdown() rejects, also when nothing was served before',
  async (t) => {
    await leakCheck(t)
    const loop = createEventLoop({})
    await within(loop.shutdown(), 'shutdown()')
    const listener = await createListener(where)
    t.like(await failureOf(loop.serve(listener)), { code: 'ERR_NODEPOLL_SHUT_DOWN' })
    await listener.close()
  },
)

for (const place of ['onConnect', 'onRequest', 'a close callback'] as const) {
  for (const isLater of [false, true]) {
    const when = isLater ? 'after an await' : 'directly'
    test.serial(
      `H18: 100 connections that close() in ${place}, ${when}, do not hold shutdown() up`,
      async (t) => {
        await leakCheck(t)
        const all = new Countdown(100)
        const close = async (connection: { close(): unknown }): Promise<void> => {
          if (isLater) await turn()
          void connection.close()
          all.pass()
        }
        const server = await startServer(t, {
          onConnect(connection) {
            if (place === 'a close callback') connection.addCloseCallback(() => close(connection))
            return place === 'onConnect' ? close(connection) : undefined
          },
          onRequest(connection) {
            if (place === 'onRequest') return close(connection)
            connection.destroy()
            return undefined
          },
        })
        const peers = await Promise.all(
          Array.from({ length: 100 }, () => Peer.connect(t, server.address)),
        )
        for (const { socket } of peers) {
          socket.on('error', () => {})
          socket.write('x')
        }
        await within(all.reached, 'all closes')
        await within(server.shutdown(), 'shutdown()', 1_500)
        t.is(server.loop.connectionCount, 0)
      },
    )
  }
}

test.serial(
  'H19: clients that the kernel had accepted and requests that had arrived are served',
  async (t) => {
    await leakCheck(t)
    for (let round = 0; round < 10; round++) {
      const server = await startServer(t, {
        onRequest({ input, writer }) {
          writer.append(input).flush()
        },
      })
      const peers = await Promise.all(
        Array.from({ length: 20 }, () => Peer.connect(t, server.address)),
      )
      const replies = peers.map(async (peer) => {
        peer.socket.write('request')
        return (await peer.readToEnd()).toString()
      })
      block(5)
      await within(server.shutdown(), 'shutdown()')
      for (const reply of await Promise.all(replies)) t.is(reply, 'request')
    }
  },
)

test.serial(
  'H20: 200 clients that reset while they are accepted do not hold shutdown() up',
  async (t) => {
    await leakCheck(t)
    const server = await startServer(t, { onRequest: ({ input }) => input.skip(input.length) })
    const peers = await Promise.all(
      Array.from({ length: 200 }, () => Peer.connect(t, server.address)),
    )
    for (const peer of peers) peer.reset()
    await within(server.shutdown(), 'shutdown()', 2_000)
    t.is(server.loop.connectionCount, 0)
  },
)

test.serial('await using shuts a server down', async (t) => {
  await leakCheck(t)
  const { connection, server } = await openPair(t)
  await within(server[Symbol.asyncDispose](), 'the disposal')
  t.deepEqual(await connection.closed, { by: 'shutdown' })
})

test.serial(
  'H19: at any moment a request gets its whole reply, or FIN before any byte of it',
  async (t) => {
    await leakCheck(t)
    const reply = 'r'.repeat(3000)
    let wrong = 0
    let replies = 0
    for (let round = 0; round < 25; round++) {
      const server = await startServer(t, {
        async onRequest({ input, writer }) {
          const requests = input.length >> 3
          input.skip(requests << 3)
          if (round % 2 === 0) await turn()
          for (let n = 0; n < requests; n++) writer.writeString(reply)
          writer.flush()
        },
      })
      const peers = await Promise.all(
        Array.from({ length: 40 }, () => Peer.connect(t, server.address)),
      )
      const clients = peers.map(async (peer) => {
        for (;;) {
          if (peer.hasEnded || peer.socket.destroyed) break
          peer.socket.write('request.')
          try {
            await peer.read(reply.length)
            replies++
          } catch {
            break
          }
        }
        await peer.closed
        // What has come after the last whole reply is nothing.
        if (peer.bytesReceived % reply.length !== 0) wrong++
      })
      const pause = performance.now() + (round % 7)
      await eventually(() => performance.now() >= pause, 'a moment')
      await within(server.shutdown(), 'shutdown()')
      await within(Promise.all(clients), 'the clients')
    }
    t.is(wrong, 0)
    t.true(replies > 0)
  },
)

test.serial('shutdown() gives up by its signal, whose reason is the cause', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const { connection, peer, server } = await openPair(t, { onRequest: () => gate.promise })
  await peer.send('x')
  await eventually(() => connection.bytesRead === 1, 'onRequest')
  const reason = new Error('in a hurry')
  const aborter = new AbortController()
  const giving = failureOf(server.shutdown({ signal: aborter.signal }))
  aborter.abort(reason)
  t.like(await giving, { code: 'ERR_NODEPOLL_DEADLINE', cause: reason })
  const early = failureOf(server.shutdown({ signal: AbortSignal.abort(reason), force: true }))
  t.like(await early, { code: 'ERR_NODEPOLL_DEADLINE', cause: reason })
  t.is((await within(connection.closed, 'the reset')).by, 'shutdown')
  gate.resolve()
  await within(server.finished, 'the end')
  await within(
    server.shutdown({ signal: aborter.signal }).catch(() => {}),
    'one afterwards',
  )
})

for (const place of ['onConnect', 'onRequest', 'a close callback'] as const) {
  test.serial(`H116: shutdown() may be awaited in ${place}`, async (t) => {
    await leakCheck(t)
    const outcome = deferred<unknown>()
    const stop = async (): Promise<void> => {
      const shutting = server.shutdown()
      await shutting.then(outcome.resolve, outcome.resolve)
    }
    const server = await startServer(t, {
      onConnect(connection) {
        if (place === 'a close callback') connection.addCloseCallback(stop)
        return place === 'onConnect' ? (stop() as Promise<undefined>) : undefined
      },
      onRequest(connection) {
        connection.input.skip(connection.input.length)
        return place === 'onRequest' ? stop() : undefined
      },
    })
    const others = await Promise.all([1, 2, 3].map(() => Peer.connect(t, server.address)))
    others[0]?.socket.write('x')
    if (place === 'a close callback') others[0]?.end()
    t.is(await within(outcome.promise, 'shutdown() in a handler'), undefined)
    for (const { closed } of others) await within(closed, 'the others are closed')
    await within(server.finished, 'the end')
  })
}

test.serial('H107: whatever waits settles when the server is shut down by force', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const codes: string[] = []
  const note = (promise: Promise<unknown>): void => {
    void promise.then(
      () => codes.push('resolved'),
      (error: { code?: string }) => codes.push(String(error.code)),
    )
  }
  const server = await startServer(t, {
    async onRequest(connection) {
      connection.writer.writeBinary(Buffer.alloc(16 << 20)).flush()
      note(connection.writer.drained())
      note(connection.reader.next(1000))
      note(connection.closed)
      await gate.promise
    },
  })
  const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.connect(t, server.address)))
  for (const peer of peers) {
    peer.socket.pause()
    await peer.send('x')
  }
  await eventually(() => server.loop.connectionCount === 20, 'all are busy')
  note(server.finished)
  note(server.shutdown())
  await failureOf(server.shutdown({ deadlineMs: 50, force: true }))
  await eventually(
    () => codes.length === 60,
    () => `${codes.length} have settled`,
  )
  t.is(codes.filter((code) => code === 'ERR_NODEPOLL_CONNECTION_CLOSED').length, 40)
  t.is(codes.filter((code) => code === 'resolved').length, 20)
  gate.resolve()
  await eventually(() => codes.length === 62, 'the server')
  t.is(codes.filter((code) => code === 'resolved').length, 22)
})
