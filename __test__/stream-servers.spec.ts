import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import * as net from 'node:net'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'

import * as grpc from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import fastify from 'fastify'
import { attach, type Attached, createServer, type Socket } from 'nodepoll/stream'

import { deferred, eventually, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { untyped } from './helpers/untyped.ts'

type Test = ExecutionContext<unknown>

const key = readFileSync(new URL('../testdata/tls/key.pem', import.meta.url))
const cert = readFileSync(new URL('../testdata/tls/certificate.pem', import.meta.url))

/** Attaches a server to a free port of the loopback; it is ended by force after the test. */
async function start(t: Test, server: EventEmitter): Promise<{ attached: Attached; port: number }> {
  const attached = await attach(server, { host: '127.0.0.1', port: 0 })
  t.teardown(() => attached.shutdown({ deadlineMs: 0, force: true }).catch(() => {}))
  return { attached, port: (attached.address as net.AddressInfo).port }
}

interface Answer {
  readonly status: number | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** Asks a server by node:http or node:https. */
function ask(options: https.RequestOptions, body?: string): Promise<Answer> {
  const { request } = options.protocol === 'https:' ? https : http
  const answered = new Promise<Answer>((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: text })
      })
    })
    asked.on('error', reject).end(body)
  })
  return within(answered, 'an answer')
}

/** An agent that keeps connections, and is destroyed with the test. */
function keepAlive(t: Test, options: https.AgentOptions = {}): https.Agent {
  const agent = new (options.ca === undefined ? http.Agent : https.Agent)({
    keepAlive: true,
    ...options,
  })
  t.teardown(() => agent.destroy())
  return agent as https.Agent
}

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

test('fastify: its routes over a socket of ours', async (t) => {
  const app = fastify()
  app.post('/greet', (request) => ({ hello: request.body, ip: request.ip }))
  await app.ready()
  const { attached, port } = await start(t, app.server)
  const headers = { 'content-type': 'application/json' }
  const answer = await ask({ port, path: '/greet', method: 'POST', headers }, '"you"')
  t.deepEqual(JSON.parse(answer.body), { hello: 'you', ip: '127.0.0.1' })
  await within(attached.shutdown(), 'a shutdown')
  await within(app.close(), 'the end of fastify')
})

test('express: its routes over a socket of ours', async (t) => {
  type Handler = (
    request: { params: object; ip: string },
    response: { json(v: unknown): void },
  ) => void
  type App = http.RequestListener & { get(path: string, handler: Handler): void }
  const app = untyped<() => App>('express')()
  app.get('/users/:id', (request, response) => {
    response.json({ ...request.params, ip: request.ip })
  })
  const { port } = await start(t, http.createServer(app))
  const answer = await ask({ port, path: '/users/7' })
  t.deepEqual(JSON.parse(answer.body), { id: '7', ip: '127.0.0.1' })
})

test('ws: messages of all sizes, both ways', async (t) => {
  interface WebSocket extends EventEmitter {
    send(data: unknown, options?: object): void
    close(): void
  }
  const ws = untyped<{
    WebSocket: new (url: string) => WebSocket
    WebSocketServer: new (options: object) => EventEmitter
  }>('ws')
  const server = http.createServer()
  new ws.WebSocketServer({ server }).on('connection', (socket: WebSocket) => {
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      socket.send(data, { binary: isBinary })
    })
  })
  const { attached, port } = await start(t, server)
  const client = new ws.WebSocket(`ws://127.0.0.1:${port}/`)
  await within(once(client, 'open'), 'an open socket')
  for (const size of [0, 1, 125, 126, 65_536, 3_000_000]) {
    client.send(Buffer.alloc(size, 'z'))
    const [data] = (await within(once(client, 'message'), 'a message')) as [Buffer]
    t.is(data.length, size)
  }
  client.close()
  await within(once(client, 'close'), 'the end')
  await within(attached.shutdown(), 'a shutdown')
})

/** A service whose messages are bytes, so that no compiler is needed. */
const echo = {
  say: {
    path: '/Echo/Say',
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer): Buffer => bytes,
    requestDeserialize: (bytes: Buffer): Buffer => bytes,
    responseSerialize: (bytes: Buffer): Buffer => bytes,
    responseDeserialize: (bytes: Buffer): Buffer => bytes,
  },
} as const satisfies grpc.ServiceDefinition

test('@grpc/grpc-js: calls over injected connections', async (t) => {
  const server = new grpc.Server()
  server.addService(echo, {
    say: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      done(null, Buffer.from(call.request.toString().toUpperCase()))
    },
  })
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const listener = createServer((socket) => injector.injectConnection(socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    injector.destroy()
    server.forceShutdown()
    listener.close()
  })
  const Client = grpc.makeGenericClientConstructor(echo, 'Echo')
  const { port } = listener.address() as net.AddressInfo
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
  t.teardown(() => client.close())
  const say = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const call = client['say'] as (bytes: Buffer, done: grpc.requestCallback<Buffer>) => void
      call.call(client, Buffer.from(text), (error, value) => {
        if (error) reject(error)
        else resolve(String(value))
      })
    })
  const answers = await within(Promise.all(['a', 'b', 'c'].map(say)), 'three calls')
  t.deepEqual(answers, ['A', 'B', 'C'])
})

interface MqttClient extends EventEmitter {
  subscribeAsync(topic: string, options: object): Promise<unknown>
  publishAsync(topic: string, text: string, options: object): Promise<unknown>
  endAsync(force: boolean): Promise<void>
}

test('aedes: a message from one client of mqtt to another', async (t) => {
  const mqtt = untyped<{ connectAsync(url: string): Promise<MqttClient> }>('mqtt')
  const broker = await Aedes.createBroker()
  const listener = createServer((socket) => broker.handle(socket as unknown as net.Socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  t.teardown(async () => {
    await new Promise<void>((resolve) => broker.close(resolve))
    listener.close()
  })
  const [one, other] = await within(
    Promise.all([0, 1].map(() => mqtt.connectAsync(`mqtt://127.0.0.1:${port}`))),
    'two clients',
  )
  t.teardown(() => Promise.all([one?.endAsync(true), other?.endAsync(true)]))
  await one?.subscribeAsync('news/#', { qos: 1 })
  const message = new Promise<[string, Buffer]>((resolve) =>
    one?.once('message', (topic: string, payload: Buffer) => resolve([topic, payload])),
  )
  await other?.publishAsync('news/today', 'nothing', { qos: 1 })
  const [topic, payload] = await within(message, 'a message')
  t.deepEqual([topic, payload.toString()], ['news/today', 'nothing'])
})

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
