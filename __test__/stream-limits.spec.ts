import { once } from 'node:events'
import * as http from 'node:http'
import * as net from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import test, { type ExecutionContext } from 'ava'
import { stats } from 'nodepoll'
import { attach, connect, createServer, Socket, toDuplex } from 'nodepoll/stream'

import { runChild } from './helpers/child.ts'
import { deferred, eventually, settled, turn, within } from './helpers/deadline.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const MANY = 64 << 20

/** What a socket, its stream and nodepoll may hold of one direction, and more than kernels do. */
const HELD_MAX = 16 << 20

/** Bytes of the stream of a seed. */
function bytesAt(seed: number, at: number, n: number): Buffer {
  const stream = new Stream(seed)
  stream.skip(at)
  return stream.take(n)
}

/** An accepted socket of ours, and the same connection as a socket of node:net. */
async function pair(
  t: ExecutionContext<unknown>,
  options: Parameters<typeof createServer>[0] = {},
): Promise<{ socket: Socket; peer: net.Socket }> {
  const accepted = deferred<Socket>()
  const server = createServer(options as object, (socket) => accepted.resolve(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const peer = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const socket = await within(accepted.promise, 'an accepted socket')
  t.teardown(async () => {
    peer.destroy()
    if (!socket.destroyed) socket.destroy()
    server.close()
    await within(once(server, 'close'), 'the end of a server')
  })
  return { socket, peer }
}

/** Writes so many bytes of a stream that tells its positions, and ends. */
async function sendMany(socket: Duplex, seed: number, sizes: readonly number[]): Promise<void> {
  for (let at = 0, index = 0; at < MANY; index++) {
    const size = Math.min(sizes[index % sizes.length] as number, MANY - at)
    if (!socket.write(bytesAt(seed, at, size))) await once(socket, 'drain')
    at += size
  }
  socket.end()
}

/** Reads to the end, and checks each byte. */
function checkMany(socket: Duplex, seed: number): Promise<number> {
  const expected = new Stream(seed)
  return new Promise((resolve, reject) => {
    socket.on('data', (bytes: Buffer) => {
      if (expected.matches(bytes)) return
      socket.destroy()
      reject(new Error(`wrong bytes at ${expected.position}`))
    })
    socket.on('error', reject).on('end', () => resolve(expected.position))
  })
}

test.serial('64 MiB go both ways at once, byte for byte', async (t) => {
  await leakCheck(t)
  const { socket, peer } = await pair(t, { allowHalfOpen: true })
  const sizes = [1, 70_000, 13, 1_000_000, 4096, 65_536]
  const outcome = await within(
    Promise.all([
      sendMany(socket, 1, sizes),
      checkMany(socket, 2),
      sendMany(peer, 2, sizes),
      checkMany(peer, 1),
    ]),
    'all bytes',
    25_000,
  )
  t.deepEqual([outcome[1], outcome[3]], [MANY, MANY])
})

test.serial('one write of 64 MiB arrives', async (t) => {
  await leakCheck(t)
  const { socket, peer } = await pair(t)
  const written = deferred<Error | null | undefined>()
  socket.write(bytesAt(3, 0, MANY), written.resolve)
  const before = stats().arenaBytes
  socket.end()
  t.is(await within(checkMany(peer, 3), 'all bytes', 25_000), MANY)
  t.falsy(await written.promise)
  // It went through in pieces, and was never copied as a whole.
  t.true(stats().arenaBytes - before < HELD_MAX)
})

test.serial(
  'a peer that does not read makes write() say false, and holds little memory',
  async (t) => {
    await leakCheck(t)
    const { socket, peer } = await pair(t)
    peer.pause()
    const chunk = Buffer.alloc(64 << 10)
    let drains = 0
    socket.on('drain', () => drains++)
    // Until the kernels on both sides, nodepoll and the stream are full.
    await within(
      (async () => {
        for (let stalls = 0; stalls < 3;) {
          if (socket.write(chunk)) continue
          const before = drains
          await settled(() => drains, 100)
          stalls = drains === before ? stalls + 1 : 0
          if (stalls > 0) break
        }
      })(),
      'a socket that is full',
      25_000,
    )
    const taken = socket.bytesWritten
    t.true(socket.writableNeedDrain)
    t.true(stats().arenaBytesLeased < HELD_MAX)
    const drained = once(socket, 'drain')
    peer.resume()
    await within(drained, 'a drain')
    socket.end()
    await within(once(peer, 'end'), 'the end')
    t.is(peer.bytesRead, taken)
  },
)

test.serial(
  'a reader that does not read makes the peer wait, and holds little memory',
  async (t) => {
    await leakCheck(t)
    const { socket, peer } = await pair(t)
    socket.pause()
    const sending = sendMany(peer, 4, [65_536])
    await settled(() => peer.bytesWritten, 300)
    t.true(socket.bytesRead < HELD_MAX)
    t.true(socket.readableLength <= socket.readableHighWaterMark + (64 << 10))
    t.true(stats().arenaBytesLeased < HELD_MAX)
    t.is(await within(checkMany(socket.resume(), 4), 'all bytes', 25_000), MANY)
    await sending
  },
)

test.serial('a peer that resets in the middle ends both directions with ECONNRESET', async (t) => {
  await leakCheck(t)
  const { socket, peer } = await pair(t)
  const failed = once(socket, 'error')
  const over = new Promise((resolve) => socket.once('close', resolve))
  socket.on('data', () => {})
  const writing = (): void => {
    while (!socket.destroyed && socket.write(Buffer.alloc(100_000)));
  }
  socket.on('drain', writing)
  writing()
  await once(peer, 'data')
  peer.resetAndDestroy()
  const [error] = (await within(failed, 'an error')) as [NodeJS.ErrnoException]
  t.true(['ECONNRESET', 'EPIPE'].includes(error.code ?? ''), error.code ?? '')
  t.true(await within(over, 'close'))
  t.true(socket.destroyed)
})

test.serial(
  'destroy in the middle of a large write tells its callbacks, and frees all of it',
  async (t) => {
    await leakCheck(t)
    const { socket, peer } = await pair(t)
    peer.pause()
    const outcomes: string[] = []
    const told = (name: string) => (error?: Error | null) => {
      outcomes.push(
        `${name} ${(error as NodeJS.ErrnoException | null | undefined)?.code ?? 'none'}`,
      )
    }
    socket.write(Buffer.alloc(MANY), told('first'))
    socket.write('more', told('second'))
    await turn()
    const over = once(socket, 'close')
    socket.destroy()
    t.deepEqual(await within(over, 'close'), [false])
    await eventually(() => outcomes.length === 2, 'both callbacks')
    // As with node:net: the write that is under way has no error, those behind it have.
    t.deepEqual(outcomes.toSorted(), ['first none', 'second ERR_STREAM_DESTROYED'])
    peer.resume()
    const ended = new Promise((resolve) => peer.once('end', resolve).once('error', resolve))
    await within(ended, 'the end at the peer')
    t.true(peer.bytesRead < HELD_MAX)
  },
)

test.serial('a half-closed socket sends 64 MiB after it has received FIN', async (t) => {
  await leakCheck(t)
  const { socket, peer } = await pair(t, { allowHalfOpen: true })
  peer.end()
  socket.resume()
  await within(once(socket, 'end'), 'FIN')
  t.is(socket.readyState, 'writeOnly')
  const [received] = await within(
    Promise.all([checkMany(peer, 5), sendMany(socket, 5, [65_536, 100])]),
    'all bytes',
    25_000,
  )
  t.is(received, MANY)
})

test.serial('a socket that has sent FIN receives 64 MiB', async (t) => {
  await leakCheck(t)
  const { socket, peer } = await pair(t, { allowHalfOpen: true })
  socket.end()
  await within(once(socket, 'finish'), 'FIN')
  t.is(socket.readyState, 'readOnly')
  const [received] = await within(
    Promise.all([checkMany(socket, 6), sendMany(peer, 6, [65_536, 100])]),
    'all bytes',
    25_000,
  )
  t.is(received, MANY)
})

test.serial('what is unread when both have sent FIN is still delivered', async (t) => {
  await leakCheck(t)
  const { socket, peer } = await pair(t, { allowHalfOpen: true })
  socket.pause()
  const { connections } = stats()
  socket.end()
  peer.resume()
  peer.end(bytesAt(7, 0, 200_000))
  await eventually(() => socket.bytesRead === 200_000, 'all bytes')
  await eventually(() => stats().connections < connections, 'the end of the connection')
  t.is(await within(checkMany(socket.resume(), 7), 'all bytes'), 200_000)
})

test.serial('chunks stay what they are for as long as somebody keeps a part of them', async (t) => {
  const { socket, peer } = await pair(t)
  const kept: Buffer[] = []
  const copies: Buffer[] = []
  socket.on('data', (chunk: Buffer) => {
    kept.push(chunk.subarray(0, 16))
    copies.push(Buffer.from(chunk.subarray(0, 16)))
  })
  for (let at = 0; at < 8 << 20; at += 50_000) {
    peer.write(bytesAt(8, at, 50_000))
    await turn()
  }
  peer.end()
  await within(once(socket, 'end'), 'FIN')
  t.true(kept.length > 20)
  collectGarbage()
  t.deepEqual(kept, copies)
})

test.serial('a pipe from one connection to another, both ways', async (t) => {
  await leakCheck(t)
  const back = await pair(t, { allowHalfOpen: true })
  const front = await pair(t, { allowHalfOpen: true })
  const piping = Promise.all([
    pipeline(front.socket, back.socket, { end: true }),
    pipeline(back.socket, front.socket, { end: true }),
  ])
  const outcome = await within(
    Promise.all([
      sendMany(front.peer, 9, [65_536]),
      checkMany(back.peer, 9),
      sendMany(back.peer, 10, [10_000]),
      checkMany(front.peer, 10),
      piping,
    ]),
    'all bytes',
    28_000,
  )
  t.deepEqual([outcome[1], outcome[3]], [MANY, MANY])
})

test.serial('toDuplex goes on where handlers have read, and answers after FIN', async (t) => {
  await leakCheck(t)
  const over = deferred()
  const { peer } = await openPair(
    t,
    {
      onRequest(connection) {
        if (connection.input.length < 5) return
        t.is(connection.input.readString(5), 'head ')
        const socket = toDuplex(connection, { allowHalfOpen: true })
        let text = ''
        socket.setEncoding('utf8').on('data', (part: string) => (text += part))
        socket.on('end', () => setImmediate(() => socket.end(text.toUpperCase())))
        socket.once('close', () => over.resolve())
      },
    },
    { allowHalfOpen: true },
  )
  await peer.send('head body')
  peer.end(' and more')
  t.is((await peer.readToEnd()).toString(), 'BODY AND MORE')
  await within(over.promise, 'close')
})

test.serial(
  'toDuplex tells of an end by others: a reset, an idle timeout, a shutdown',
  async (t) => {
    await leakCheck(t)
    for (const how of ['reset', 'idle', 'shutdown'] as const) {
      const { connection, peer, server } = await openPair(t)
      const socket = toDuplex(connection)
      const events: string[] = []
      socket.on('error', (error: NodeJS.ErrnoException) => events.push(error.code ?? ''))
      const over = new Promise((resolve) => socket.resume().once('close', resolve))
      if (how === 'reset') peer.reset()
      else if (how === 'idle') connection.setIdleTimeout(20)
      else void server.shutdown()
      t.is(await within(over, `close after ${how}`), how === 'reset', how)
      t.deepEqual(events, how === 'reset' ? ['ECONNRESET'] : [])
    }
  },
)

test.serial('toDuplex of a connection that has ended ends at once', async (t) => {
  const { connection, peer } = await openPair(t)
  peer.end('rest')
  await within(connection.closed, 'the end')
  const socket = toDuplex(connection)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await within(once(socket, 'close'), 'close')
  t.is(text, 'rest')
})

test.serial('toDuplex takes connections only', (t) => {
  t.throws(() => toDuplex({} as never), { code: 'ERR_INVALID_ARG_TYPE' })
  for (const name of ['onread', 'fd', 'handle']) {
    const options = { [name]: {} }
    t.throws(() => new Socket(options), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /nodepoll\/stream/,
    })
    t.throws(() => connect({ port: 1, ...options }), { message: /nodepoll\/stream/ })
  }
})

for (const module of ['node:net', 'nodepoll/stream']) {
  test.serial(`what a listener throws is an uncaught exception, with ${module}`, async (t) => {
    const outcome = await runChild(
      t,
      `
      import { connect, createServer } from '${module}'
      const caught = []
      process.on('uncaughtException', (error) => caught.push(error.message))
      const server = createServer((socket) => {
        socket.on('data', () => { throw new Error('in data') })
        throw new Error('in connection')
      })
      server.listen(0, '127.0.0.1', () => {
        const socket = connect(server.address().port, '127.0.0.1')
        socket.resume().end('text')
        socket.on('finish', () => { throw new Error('in finish') })
        socket.on('close', () => server.close(() => console.log(caught.sort().join(', '))))
      })
      `,
    )
    t.is(outcome.stderr, '')
    t.is(outcome.stdout, 'in connection, in data, in finish\n')
  })
}

test.serial('the callback of a write may end the process: the kernel has the bytes', async (t) => {
  const size = 16 << 20
  const received = deferred<number>()
  const server = net.createServer((peer) => {
    // Slowly, so that the kernels are full when the last of it is written.
    peer.on('data', () => {
      peer.pause()
      setTimeout(() => peer.resume(), 1)
    })
    peer.on('close', () => received.resolve(peer.bytesRead)).on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const { port } = server.address() as net.AddressInfo
  const outcome = await runChild(
    t,
    `
    import { connect } from 'nodepoll/stream'
    const socket = connect(${port}, '127.0.0.1', () => {
      socket.write(Buffer.alloc(${size}), () => process.exit(7))
    })
    `,
  )
  t.is(outcome.code, 7)
  t.is(await within(received.promise, 'the bytes'), size)
})

test.serial('answers to requests that come together leave together', async (t) => {
  const count = 16
  const server = http.createServer((_, response) => response.end('an answer'))
  const attached = await attach(server, { host: '127.0.0.1', port: 0 })
  t.teardown(() => attached.shutdown({ deadlineMs: 1000, force: true }))
  const { port } = attached.address as net.AddressInfo
  const client = net.connect(port, '127.0.0.1').setEncoding('latin1')
  t.teardown(() => void client.destroy())
  let text = ''
  client.on('data', (part: string) => (text += part))
  const answers = (): number => text.split('an answer').length - 1
  let writes = 0
  for (let batch = 1; batch <= 3; batch++) {
    writes = stats().writes
    client.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(count))
    await eventually(() => answers() === batch * count, 'all answers')
  }
  // One, unless the requests of the last batch have come in parts.
  t.true(stats().writes - writes < count / 2, `${stats().writes - writes} writes`)
})

for (const host of ['auto', 'thread']) {
  test.serial(
    `what is written leaves although the process ends there, host '${host}'`,
    async (t) => {
      const received = deferred<string>()
      const server = net.createServer((peer) => {
        let text = ''
        peer.setEncoding('latin1').on('data', (part: string) => (text += part))
        peer.on('end', () => received.resolve(text)).on('error', () => {})
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.teardown(() => void server.close())
      const { port } = server.address() as net.AddressInfo
      const outcome = await runChild(
        t,
        `
      import { configure } from 'nodepoll'
      import { connect } from 'nodepoll/stream'
      configure({ host: '${host}' })
      const socket = connect(${port}, '127.0.0.1', () => {
        socket.write('told of, ', () => {
          socket.write('not told of, ')
          setImmediate(() => {
            socket.write('the last')
            process.exit(7)
          })
        })
      })
      `,
      )
      t.is(outcome.code, 7)
      t.is(await within(received.promise, 'the bytes'), 'told of, not told of, the last')
    },
  )
}

test.serial('a process with unreffed sockets and servers only ends', async (t) => {
  const outcome = await runChild(
    t,
    `
    import { connect, createServer } from 'nodepoll/stream'
    const server = createServer((socket) => { socket.unref() })
    server.listen(0, '127.0.0.1', () => {
      const socket = connect(server.address().port, '127.0.0.1')
      socket.unref()
      socket.on('connect', () => { server.unref(); console.log('connected') })
    })
    `,
  )
  t.is(outcome.stdout, 'connected\n')
  t.is(outcome.code, 0)
})
