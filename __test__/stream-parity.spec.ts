import { once } from 'node:events'
import * as net from 'node:net'

import test from 'ava'

import { deferred, eventually, turn } from './helpers/deadline.ts'
import { freePort } from '../scripts/free-port.mjs'
import { closed, compare, describe, type Net, type Run, type Scenario } from './helpers/parity.ts'
import { temporaryPath } from './helpers/server.ts'

/** A socket of the module as the accepted end, and one of node:net as its peer. */
async function accept(
  { createServer }: Net,
  run: Run,
  options: net.ServerOpts = {},
  peerOptions: Partial<net.TcpNetConnectOpts> = {},
): Promise<{ socket: net.Socket; peer: net.Socket; server: net.Server }> {
  const accepted = deferred<net.Socket>()
  const server = createServer(options, (socket) => {
    run.watch('socket', socket, { text: options.pauseOnConnect !== true })
    accepted.resolve(socket)
  })
  const port = await run.listen(server)
  const peer = net.connect({ port, host: '127.0.0.1', ...peerOptions })
  run.watch('peer', peer)
  return { socket: await accepted.promise, peer, server }
}

/** A socket of the module as the connecting end, and one of node:net as its peer. */
async function dial(
  { connect }: Net,
  run: Run,
  options: Partial<net.TcpNetConnectOpts> = {},
  peerOptions: net.ServerOpts = {},
): Promise<{ socket: net.Socket; peer: net.Socket }> {
  const accepted = deferred<net.Socket>()
  const server = net.createServer(peerOptions, (peer) => {
    run.watch('peer', peer)
    accepted.resolve(peer)
  })
  const port = await run.listen(server)
  const socket = run.watch('socket', connect({ port, host: '127.0.0.1', ...options }))
  const [peer] = await Promise.all([accepted.promise, once(socket, 'connect')])
  return { socket, peer }
}

const both = (...sockets: net.Socket[]): Promise<unknown> => Promise.all(sockets.map(closed))

const scenarios: Record<string, Scenario> = {
  async 'a conversation that the client ends'(module, run) {
    const { socket, peer } = await accept(module, run)
    socket.on('data', (chunk) => socket.write(chunk))
    const over = both(socket, peer)
    peer.end('hello')
    await over
  },

  async 'a conversation that the server ends'(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    socket.write('question')
    await once(peer, 'data')
    peer.end('answer')
    await over
  },

  async 'a connection to a name'(module, run) {
    const port = await run.listen(net.createServer((peer) => peer.end('welcome')))
    const socket = run.watch('socket', module.connect(port, 'localhost'))
    await closed(socket)
  },

  async 'a name with a family, looked up by the caller'(module, run) {
    const port = await run.listen(net.createServer((peer) => peer.end()))
    const socket = module.connect({
      port,
      host: 'some.where',
      family: 4,
      lookup: (host, options, done) => {
        run.log('lookup', `${host} ${JSON.stringify(options)}`)
        done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4)
      },
    })
    run.watch('socket', socket)
    await closed(socket)
  },

  async 'a name that is not to be found'(module, run) {
    const socket = module.connect({
      port: 1,
      host: 'no.where',
      lookup: (_, __, done) => {
        process.nextTick(done, Object.assign(new Error('gone'), { code: 'ENOTFOUND' }), '', 0)
      },
    })
    run.watch('socket', socket)
    await closed(socket)
  },

  async 'nobody listens'(module, run) {
    const port = await freePort()
    const socket = run.watch('socket', module.connect(port, '127.0.0.1'))
    run.log('socket', `connecting ${socket.connecting} pending ${socket.pending}`)
    await closed(socket)
    run.log('socket', `connecting ${socket.connecting} destroyed ${socket.destroyed}`)
  },

  async 'nobody listens on any address of a name'(module, run) {
    const port = await freePort()
    const socket = module.connect({
      port,
      host: 'two.places',
      lookup: (_, __, done) => {
        done(null, [
          { address: '127.0.0.2', family: 4 },
          { address: '127.0.0.3', family: 4 },
        ])
      },
    })
    run.watch('socket', socket)
    await closed(socket)
  },

  async 'a half-open server that answers after FIN'(module, run) {
    const { socket, peer } = await accept(module, run, { allowHalfOpen: true })
    socket.on('end', () => {
      run.log('socket', `state ${socket.readyState}`)
      socket.write('late ')
      socket.end('answer')
    })
    const over = both(socket, peer)
    peer.end('question')
    await over
  },

  async 'a client that ends its side and reads on'(module, run) {
    const { socket, peer } = await dial(
      module,
      run,
      { allowHalfOpen: true },
      { allowHalfOpen: true },
    )
    socket.end('question')
    const over = both(socket, peer)
    await once(peer, 'end')
    run.log('socket', `state ${socket.readyState} ${socket.writableFinished}`)
    peer.write('part one, ')
    peer.end('part two')
    await over
  },

  async 'both ends end at once'(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    socket.end()
    peer.end()
    await over
  },

  async 'a peer that resets'(module, run) {
    const { socket, peer } = await accept(module, run)
    peer.write('last words')
    await once(socket, 'data')
    const over = both(socket, peer)
    peer.resetAndDestroy()
    await over
  },

  async 'a peer that resets before it is read'(module, run) {
    const { socket, peer } = await dial(module, run)
    socket.pause()
    const over = both(socket, peer)
    peer.resetAndDestroy()
    await over
  },

  async 'a peer that ends and then resets, unheard by who does not write'(module, run) {
    const { socket, peer } = await accept(module, run, { allowHalfOpen: true })
    socket.on('end', () => {
      const over = closed(peer)
      peer.resetAndDestroy()
      void over.then(turn).then(async () => {
        for (let wait = 0; wait < 20; wait++) await turn()
        run.log('socket', `state ${socket.readyState}`)
        socket.write('late', (error) => run.log('write', describe(error)))
      })
    })
    const over = both(socket, peer)
    peer.end('hello')
    await over
  },

  async 'a peer that ends and then resets, while the socket writes'(module, run) {
    const { socket, peer } = await accept(module, run, { allowHalfOpen: true })
    const over = both(socket, peer)
    peer.pause()
    socket.on('end', () => {
      socket.write(Buffer.alloc(32 << 20), (error) => run.log('write', describe(error)))
      setImmediate(() => peer.resetAndDestroy())
    })
    peer.end('hello')
    await over
  },

  async resetAndDestroy(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    run.log('socket', `itself ${socket.resetAndDestroy() === socket}`)
    await over
  },

  async 'resetAndDestroy of a socket that was never connected'(module, run) {
    const socket = run.watch('socket', new module.Socket())
    const over = closed(socket)
    socket.resetAndDestroy()
    await over
  },

  async destroy(module, run) {
    const { socket, peer } = await accept(module, run)
    const over = both(socket, peer)
    socket.destroy()
    run.log('socket', `destroyed ${socket.destroyed} state ${socket.readyState}`)
    process.nextTick(() => run.log('socket', 'the next tick'))
    await over
  },

  async 'destroy with an error'(module, run) {
    const { socket, peer } = await accept(module, run)
    const over = both(socket, peer)
    socket.destroy(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
    await over
  },

  async 'a write, then destroy: the bytes arrive'(module, run) {
    const { socket, peer } = await accept(module, run)
    const over = both(socket, peer)
    socket.write('farewell')
    socket.destroy()
    await over
  },

  async 'destroy in the callback of a write: the bytes arrive'(module, run) {
    const { socket, peer } = await accept(module, run)
    const over = both(socket, peer)
    socket.write('farewell', (error) => {
      run.log('socket', `written ${String(error)}`)
      socket.destroy()
    })
    await over
  },

  async destroySoon(module, run) {
    const { socket, peer } = await accept(module, run)
    const over = both(socket, peer)
    socket.write('farewell')
    socket.destroySoon()
    run.log('socket', `destroyed ${socket.destroyed}`)
    await over
  },

  async 'a write after end'(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    socket.end()
    socket.write('late', (error) => run.log('socket', `callback ${describe(error)}`))
    await over
  },

  async 'a write after destroy'(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    socket.destroy()
    const taken = socket.write('late', (error) => run.log('socket', `callback ${describe(error)}`))
    run.log('socket', `taken ${taken}`)
    await over
  },

  async 'a write after FIN has come'(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    socket.on('end', () =>
      setImmediate(() => {
        const done = (error?: Error | null): void =>
          run.log('socket', `callback ${describe(error)}`)
        run.log('socket', `taken ${socket.write('late', done)}`)
      }),
    )
    peer.end()
    await over
  },

  async 'what is written before the connection is sent after it'(module, run) {
    const accepted = deferred<net.Socket>()
    const port = await run.listen(
      net.createServer((peer) => accepted.resolve(run.watch('peer', peer))),
    )
    const socket = run.watch('socket', module.connect(port, '127.0.0.1'))
    socket.write('one ', () => run.log('write', 'written'))
    socket.write('two')
    run.log('socket', `bytesWritten ${socket.bytesWritten} state ${socket.readyState}`)
    socket.end()
    const peer = await accepted.promise
    peer.end()
    await both(socket, peer)
    run.log('socket', `bytesWritten ${socket.bytesWritten} bytesRead ${socket.bytesRead}`)
  },

  async 'destroy before the connection'(module, run) {
    const port = await run.listen(net.createServer())
    const socket = run.watch('socket', module.connect(port, '127.0.0.1'))
    socket.write('lost', (error) => run.log('write', `callback ${describe(error)}`))
    socket.destroy()
    await closed(socket)
    await turn()
  },

  async 'an aborted signal'(module, run) {
    const port = await run.listen(net.createServer())
    const aborter = new AbortController()
    const socket = module.connect({ port, host: '127.0.0.1', signal: aborter.signal })
    run.watch('socket', socket)
    await once(socket, 'connect')
    aborter.abort()
    await closed(socket)
  },

  async 'a signal that is aborted before'(module, run) {
    const socket = module.connect({ port: 1, host: '127.0.0.1', signal: AbortSignal.abort() })
    run.watch('socket', socket)
    await closed(socket)
  },

  async 'a timeout, which ends nothing'(module, run) {
    const { socket, peer } = await dial(module, run)
    socket.setTimeout(30, () => run.log('socket', `after ${socket.timeout}`))
    await once(socket, 'timeout')
    run.log('socket', `state ${socket.readyState}`)
    socket.setTimeout(0)
    const over = both(socket, peer)
    socket.end('goodbye')
    await over
  },

  async pauseOnConnect(module, run) {
    const { socket, peer } = await accept(module, run, { pauseOnConnect: true })
    peer.write('wait for it')
    await turn()
    run.log('socket', `paused ${socket.isPaused()} ${socket.readableLength}`)
    const over = both(socket, peer)
    socket.on('data', (chunk) => run.log('socket', `data ${chunk.toString()}`))
    socket.resume()
    peer.end()
    await over
  },

  async 'pause and resume'(module, run) {
    const { socket, peer } = await dial(module, run)
    socket.pause()
    peer.write('one ')
    peer.end('two')
    await turn()
    run.log('socket', 'resumed')
    const over = both(socket, peer)
    socket.resume()
    await over
  },

  async 'readable events'(module, run) {
    const { socket, peer } = await accept(module, run, { pauseOnConnect: true })
    socket.on('readable', () => {
      for (;;) {
        const chunk: unknown = socket.read(3)
        if (chunk === null) break
        run.log('socket', `data ${String(chunk)}`)
      }
    })
    const over = both(socket, peer)
    peer.end('123456789')
    await over
  },

  async 'one read for each readable event'(module, run) {
    const { socket, peer } = await accept(module, run, { pauseOnConnect: true })
    let total = 0
    let longest = 0
    const all = deferred()
    socket.on('readable', () => {
      const { length = 0 } = (socket.read() as Buffer | null) ?? {}
      total += length
      longest = Math.max(longest, length)
      if (total === 1_000_000) all.resolve()
    })
    peer.write(Buffer.alloc(1_000_000))
    await all.promise
    run.log('socket', `no more than a chunk at once: ${longest <= 65_536}`)
    const over = both(socket, peer)
    peer.end()
    await over
  },

  async 'addresses and states'(module, run) {
    const { socket, peer } = await dial(module, run)
    const show = (): void => {
      const { localPort, remotePort, localFamily, remoteFamily } = socket
      const ports = [localPort === peer.remotePort, remotePort === peer.localPort]
      const addresses = [socket.localAddress, socket.remoteAddress, localFamily, remoteFamily]
      const state = [socket.readyState, socket.pending, socket.connecting, socket.destroyed]
      run.log('state', JSON.stringify([ports, addresses, state, Object.keys(socket.address())]))
    }
    show()
    const over = both(socket, peer)
    const finished = once(socket, 'finish')
    socket.end('four')
    await finished
    peer.end()
    await over
    run.log('state', `${socket.readyState} ${socket.pending} ${socket.bytesWritten}`)
  },

  async 'a socket that connects again'(module, run) {
    const port = await run.listen(net.createServer((peer) => peer.end('again')))
    const socket = run.watch('socket', new module.Socket())
    for (let round = 0; round < 2; round++) {
      socket.connect(port, '127.0.0.1', () => run.log('socket', `connected ${round}`))
      await closed(socket)
    }
  },

  async 'many writes in one turn, with their callbacks'(module, run) {
    const { socket, peer } = await dial(module, run)
    const over = both(socket, peer)
    socket.cork()
    for (const text of ['one', 'two', 'three']) {
      socket.write(text, () => run.log('socket', `written ${text}`))
    }
    socket.write('00ff', 'hex')
    socket.write('ÿ', 'latin1')
    socket.uncork()
    socket.end(() => run.log('socket', 'end callback'))
    await once(peer, 'end')
    peer.end()
    await over
    run.log('socket', `bytesWritten ${socket.bytesWritten}`)
  },

  async 'listening, counting and closing'(module, run) {
    const server = run.watchServer('server', module.createServer())
    run.log('server', `${server.listening} ${JSON.stringify(server.address())}`)
    server.listen(0, () => run.log('server', 'callback'))
    run.log('server', `${server.listening} ${typeof (server.address() as net.AddressInfo).port}`)
    await once(server, 'listening')
    const { family, address, port } = server.address() as net.AddressInfo
    run.log('server', `${family} ${address}`)
    const peer = net.connect(port, '127.0.0.1')
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    server.close((error) => run.log('server', `closed ${String(error)}`))
    run.log('server', `${server.listening} ${JSON.stringify(server.address())}`)
    await new Promise<void>((resolve) =>
      server.getConnections((error, count) => {
        run.log('server', `connections ${String(error)} ${count}`)
        resolve()
      }),
    )
    const over = closed(server)
    peer.end()
    socket.resume()
    await over
    server.close((error) => run.log('server', `again ${describe(error)}`))
    await closed(server)
  },

  async 'the port of a server that has closed is free'(module, run) {
    const server = run.watchServer('server', module.createServer())
    const port = await run.listen(server)
    net.connect(port, '127.0.0.1').on('error', () => {})
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    server.close(() => server.listen(port, '127.0.0.1'))
    // The last one goes before the listener has.
    socket.destroy()
    await once(server, 'listening')
    run.log('server', `same ${(server.address() as net.AddressInfo).port === port}`)
  },

  async 'a server that listens twice'(module, run) {
    const server = run.watchServer('server', module.createServer())
    await run.listen(server)
    try {
      server.listen(0)
    } catch (error) {
      run.log('server', describe(error))
    }
  },

  async 'a port that is in use'(module, run) {
    const port = await run.listen(net.createServer())
    const server = run.watchServer('server', module.createServer())
    server.listen(port, '127.0.0.1')
    await new Promise((resolve) => server.once('error', resolve))
    run.log('server', `listening ${server.listening}`)
  },

  async 'an address that is not of this machine'(module, run) {
    const server = run.watchServer('server', module.createServer())
    server.listen(0, '192.0.2.1')
    await new Promise((resolve) => server.once('error', resolve))
  },

  async 'a signal that closes a server'(module, run) {
    const server = run.watchServer('server', module.createServer())
    const aborter = new AbortController()
    server.listen({ port: 0, host: '127.0.0.1', signal: aborter.signal })
    await once(server, 'listening')
    const over = closed(server)
    aborter.abort()
    await over
  },

  async 'more connections than a server takes'(module, run) {
    const server = run.watchServer('server', module.createServer())
    server.maxConnections = 1
    const port = await run.listen(server)
    server.on('connection', (socket) => run.watch('socket', socket))
    server.on('drop', (data) =>
      run.log('server', JSON.stringify(Object.keys(data ?? {}).toSorted())),
    )
    const first = net.connect(port, '127.0.0.1')
    await once(server, 'connection')
    const second = net.connect(port, '127.0.0.1').on('error', () => {})
    await closed(second)
    first.destroy()
    await eventually(() => run.logs['socket']?.at(-1) === 'close false', 'the end of the first')
  },

  async 'wrong arguments'(module, run) {
    const attempts: (() => unknown)[] = [
      () => new module.Socket().connect({} as net.TcpNetConnectOpts),
      () => module.connect({ port: 65_536 }),
      () => module.connect({ port: 1, localAddress: 'here' }),
      () => module.connect({ port: {} as number }),
      () => module.createServer().listen({} as net.ListenOptions),
      () => module.createServer().listen(-1),
      () => module.createServer('x' as net.ServerOpts),
      () => new module.Socket().setTimeout(-1),
      () => new module.Socket({ objectMode: true } as net.SocketConstructorOpts),
    ]
    for (const attempt of attempts) {
      try {
        attempt()
        run.log('arguments', 'taken')
      } catch (error) {
        run.log('arguments', `${(error as Error).name} ${(error as NodeJS.ErrnoException).code}`)
      }
    }
    await turn()
  },
}

for (const [title, scenario] of Object.entries(scenarios)) {
  test(`as with node:net: ${title}`, (t) => compare(t, scenario))
}

test('as with node:net: a unix socket', async (t) => {
  const path = temporaryPath(t)
  await compare(t, async (module, run) => {
    const server = run.watchServer('server', module.createServer())
    const accepted = deferred()
    server.on('connection', (socket) => {
      run.watch('accepted', socket).end(`${typeof socket.remoteAddress} `)
      socket.once('close', accepted.resolve)
    })
    server.listen(path)
    await once(server, 'listening')
    run.log('server', String(server.address() === path))
    const socket = run.watch('socket', module.connect(path))
    await closed(socket)
    run.log('socket', JSON.stringify([socket.remoteAddress, socket.localPort, socket.address()]))
    const late = run.watchServer('late', module.createServer())
    late.listen(path)
    await new Promise((resolve) => late.once('error', resolve))
    const over = closed(server)
    server.close()
    await Promise.all([over, accepted.promise])
    const lost = run.watch('lost', module.connect({ path }))
    await closed(lost)
  })
})
