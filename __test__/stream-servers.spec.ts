import { once } from 'node:events'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import * as net from 'node:net'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'

import test from 'ava'
import { attach, createServer, type Socket } from 'nodepoll/stream'

import { ask, cert, keepAlive, key, start } from './helpers/attached.ts'
import { deferred, eventually, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'

/** Answers with method, path and body; counts the connections that it sees. */
function echoing(sockets: Set<unknown>): http.RequestListener {
  return (request, response) => {
    sockets.add(request.socket)
    response.setHeader('x-port', String(request.socket.remotePort))
    response.write(`${request.method} ${request.url} `)
    request.pipe(response)
  }
}

test('node:http: keep-alive, a large body each way, and a shutdown', async (t) => {
  await leakCheck(t)
  const sockets = new Set<unknown>()
  const server = http.createServer(echoing(sockets))
  // Connections stay until somebody ends them.
  server.keepAliveTimeout = 0
  const { attached, port } = await start(t, server)
  const agent = keepAlive(t, { maxSockets: 1 })
  const first = await ask({ port, agent, path: '/one' })
  t.is(first.body, 'GET /one ')
  t.regex(first.headers['x-port'] as string, /^\d+$/)
  const text = 'x'.repeat(5_000_000)
  const second = await ask({ port, agent, path: '/two', method: 'POST' }, text)
  t.is(second.body, `POST /two ${text}`)
  t.is(sockets.size, 1)
  t.is(attached.connectionCount, 1)
  await within(attached.shutdown(), 'a shutdown with an idle connection')
  t.is(attached.connectionCount, 0)
})

test('node:http: pipelined requests are answered in order', async (t) => {
  const { port } = await start(
    t,
    http.createServer((request, response) => response.end(request.url)),
  )
  const socket = net.connect(port, '127.0.0.1')
  t.teardown(() => void socket.destroy())
  const paths = Array.from({ length: 100 }, (_, index) => `/${index}`)
  const last = 'connection: close\r\n'
  for (const path of paths) {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n${path === '/99' ? last : ''}\r\n`)
  }
  let text = ''
  socket.setEncoding('utf8').on('data', (part: string) => (text += part))
  await within(once(socket, 'close'), 'the end')
  t.deepEqual([...text.matchAll(/^\/\d+(?=HTTP|$)/gm)].map(String), paths)
})

test('node:http: requests under way are answered before a shutdown ends', async (t) => {
  await leakCheck(t)
  const asked = deferred<http.ServerResponse>()
  const server = http.createServer((_, response) => asked.resolve(response))
  const closed = once(server, 'close')
  const { attached, port } = await start(t, server)
  const agent = keepAlive(t)
  const answer = ask({ port, agent })
  // One that has never said anything must not hold it up, nor one that comes too late.
  const silent = net.connect(port, '127.0.0.1')
  t.teardown(() => void silent.destroy())
  const response = await within(asked.promise, 'a request')
  await eventually(() => attached.connectionCount === 2, 'both connections')
  let isDown = false
  const down = attached.shutdown().then(() => (isDown = true))
  await within(once(silent.resume(), 'end'), 'the end of the silent one')
  t.false(isDown)
  await t.throwsAsync(ask({ port }), { code: 'ECONNREFUSED' })
  response.end('in time')
  t.is((await answer).body, 'in time')
  await within(down, 'a shutdown')
  await within(closed, 'close of the http server')
})

test('node:http: what is asked during a shutdown is answered as the last', async (t) => {
  await leakCheck(t)
  const held = deferred<http.ServerResponse>()
  const server = http.createServer((request, response) => {
    if (request.url === '/held') held.resolve(response)
    else response.end('next')
  })
  const { attached, port } = await start(t, server)
  const socket = net.connect(port, '127.0.0.1').setEncoding('utf8')
  t.teardown(() => void socket.destroy())
  let text = ''
  socket.on('data', (part: string) => (text += part))
  socket.write('GET /held HTTP/1.1\r\nhost: a\r\n\r\n')
  const response = await within(held.promise, 'a request')
  const down = attached.shutdown()
  const asked = once(server, 'request')
  socket.write('GET /next HTTP/1.1\r\nhost: a\r\n\r\n')
  await within(asked, 'another request')
  const over = once(socket, 'close')
  response.end('held')
  await within(Promise.all([down, over]), 'a shutdown')
  const [first = '', second = ''] = text.split('held')
  t.regex(first, /connection: keep-alive/i)
  t.regex(second, /connection: close\r\n[^]*next/i)
})

test('node:http: a shutdown with a deadline cuts off what remains', async (t) => {
  await leakCheck(t)
  const server = http.createServer(() => {})
  const { attached, port } = await start(t, server)
  const answer = failureOf(ask({ port }), 'a request')
  await within(once(server, 'request'), 'a request')
  const error = await failureOf(attached.shutdown({ deadlineMs: 20, force: true }), 'a shutdown')
  t.like(error, { code: 'ERR_NODEPOLL_DEADLINE', message: '1 connections are left' })
  t.is(((await answer) as NodeJS.ErrnoException).code, 'ECONNRESET')
  await within(attached.close(), 'the end')
})

test('node:http: an upgraded connection is the stream of both sides', async (t) => {
  const server = http.createServer()
  server.on('upgrade', (_, socket: Duplex, head: Buffer) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
    socket.write(head)
    socket.pipe(socket)
  })
  const { attached, port } = await start(t, server)
  const headers = { connection: 'upgrade', upgrade: 'echo' }
  const asked = http.request({ port, host: '127.0.0.1', headers }).end()
  const [, socket] = (await within(once(asked, 'upgrade'), 'an upgrade')) as [unknown, net.Socket]
  const down = attached.shutdown()
  socket.write('still here')
  t.is(String(await within(once(socket, 'data'), 'an echo')), 'still here')
  socket.end()
  await within(down, 'a shutdown')
})

test('node:http: timeouts of headers are watched over', async (t) => {
  const server = http.createServer({
    headersTimeout: 50,
    requestTimeout: 50,
    connectionsCheckingInterval: 20,
  })
  const { port } = await start(t, server)
  const socket = net.connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost:')
  const [chunk] = (await within(once(socket, 'data'), 'an answer')) as [Buffer]
  t.regex(chunk.toString(), /^HTTP\/1\.1 408 /)
  socket.destroy()
})

test('node:https: over a socket of ours', async (t) => {
  await leakCheck(t)
  const sockets = new Set<unknown>()
  const { attached, port } = await start(t, https.createServer({ key, cert }, echoing(sockets)))
  const agent = keepAlive(t, { ca: cert, maxSockets: 1 })
  const text = 'y'.repeat(300_000)
  const options = { protocol: 'https:', port, agent, method: 'POST' }
  for (const path of ['/one', '/two']) {
    t.is((await ask({ ...options, path }, text)).body, `POST ${path} ${text}`)
  }
  t.is(sockets.size, 1)
  await within(attached.shutdown(), 'a shutdown')
})

test('node:tls: a TLSSocket over an accepted socket, by hand', async (t) => {
  const secureContext = tls.createSecureContext({ key, cert })
  const server = createServer((socket) => {
    const secure = new tls.TLSSocket(socket, { isServer: true, secureContext })
    secure.on('error', () => {})
    secure.pipe(secure)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' })
  client.write('secret')
  t.is(String(await within(once(client, 'data'), 'an echo')), 'secret')
  client.end()
  await within(once(client, 'close'), 'the end')
})

test('node:tls: an attached server ends when its clients have', async (t) => {
  await leakCheck(t)
  const server = tls.createServer({ key, cert }, (socket) => socket.pipe(socket))
  const { attached, port } = await start(t, server)
  const client = tls.connect({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' })
  await within(once(client, 'secureConnect'), 'a handshake')
  const down = attached.shutdown()
  client.write('under way')
  t.is(String(await within(once(client, 'data'), 'an echo')), 'under way')
  client.end()
  await within(Promise.all([down, once(client, 'close')]), 'a shutdown')
})

for (const name of ['http2', 'http2 over tls']) {
  test(`node:${name}: streams of one session, which a shutdown lets finish`, async (t) => {
    await leakCheck(t)
    const isSecure = name !== 'http2'
    const server = isSecure ? http2.createSecureServer({ key, cert }) : http2.createServer()
    const held = deferred<http2.ServerHttp2Stream>()
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      stream.respond({ ':status': 200 })
      if (headers[':path'] === '/held') held.resolve(stream)
      else stream.pipe(stream)
    })
    const { attached, port } = await start(t, server)
    const session = http2.connect(`${isSecure ? 'https' : 'http'}://localhost:${port}`, {
      ca: cert,
      lookup: (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
    })
    t.teardown(() => session.destroy())
    const bodies = ['a', 'b'.repeat(200_000)].map(async (text) => {
      const stream = session.request({ ':path': '/', ':method': 'POST' })
      stream.end(text)
      let body = ''
      for await (const part of stream.setEncoding('utf8')) body += part
      return body === text
    })
    t.deepEqual(await within(Promise.all(bodies), 'two streams'), [true, true])
    const late = session.request({ ':path': '/held' })
    const stream = await within(held.promise, 'a stream')
    const down = attached.shutdown()
    stream.end('finished')
    let body = ''
    for await (const part of late.setEncoding('utf8')) body += part
    t.is(body, 'finished')
    await within(down, 'a shutdown')
  })
}

test('a server of node:net: its listener gets sockets of ours', async (t) => {
  const server = net.createServer((socket) => {
    t.is((socket as unknown as Socket).server, server)
    socket.pipe(socket)
  })
  const { attached, port } = await start(t, server)
  const client = net.connect(port, '127.0.0.1').setEncoding('utf8')
  client.end('back')
  t.deepEqual(await within(once(client, 'data'), 'an echo'), ['back'])
  await within(attached.close(), 'the end')
})

test('attach rejects with the error of the operating system', async (t) => {
  const { port } = await start(t, http.createServer())
  await t.throwsAsync(attach(http.createServer(), { port, host: '127.0.0.1' }), {
    code: 'EADDRINUSE',
  })
  await t.throwsAsync(attach({} as EventEmitter, { port: 0 }), { code: 'ERR_INVALID_ARG_TYPE' })
})
