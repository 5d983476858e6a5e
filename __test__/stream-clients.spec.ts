import { type EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import type * as net from 'node:net'
import * as tls from 'node:tls'

import { Aedes } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import { attach, connect, createConnection, Server, Socket } from 'nodepoll/stream'
import * as undici from 'undici'

import { within } from './helpers/deadline.ts'
import { startKafkaBroker } from './helpers/kafka-broker.ts'
import { startNetServer } from './helpers/server.ts'
import { thriftClient, thriftServer } from './helpers/thrift-service.ts'
import { untyped } from './helpers/untyped.ts'

type Test = ExecutionContext<unknown>

const key = readFileSync(new URL('../testdata/tls/key.pem', import.meta.url))
const cert = readFileSync(new URL('../testdata/tls/certificate.pem', import.meta.url))

/** A server of node:net or what is made of it, on a free port, until the test ends. */
async function listen(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

const echo: http.RequestListener = (request, response) => {
  response.setHeader('x-method', request.method ?? '')
  request.pipe(response)
}

/** What libraries take for a socket of node:net. */
const asNet = (socket: Socket): net.Socket => socket as unknown as net.Socket

test('http.request: createConnection, and an agent that keeps its connections', async (t) => {
  const port = await listen(t, http.createServer(echo))
  class Agent extends http.Agent {
    override createConnection = (options: net.TcpNetConnectOpts): net.Socket =>
      asNet(connect(options as { port: number }))
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const ports = new Set<number | undefined>()
  const text = 'v'.repeat(1_000_000)
  for (const own of [{ agent }, { agent }, { createConnection: agent.createConnection as never }]) {
    const body = new Promise<string>((resolve, reject) => {
      const asked = http.request({ port, host: '127.0.0.1', method: 'PUT', ...own }, (response) => {
        ports.add(response.socket.localPort)
        let all = ''
        response.setEncoding('utf8').on('data', (part: string) => (all += part))
        response.on('end', () => resolve(all))
      })
      asked.on('error', reject).end(text)
      asked.on('socket', (socket) => t.true((socket as unknown) instanceof Socket))
    })
    t.is(await within(body, 'an answer'), text)
  }
  t.is(ports.size, 2)
})

test('http2.connect: createConnection', async (t) => {
  const server = http2.createServer()
  server.on('stream', (stream: http2.ServerHttp2Stream) => stream.pipe(stream))
  const port = await listen(t, server as unknown as net.Server)
  const session = http2.connect(`http://127.0.0.1:${port}`, {
    createConnection: () => createConnection(port, '127.0.0.1'),
  })
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/', ':method': 'POST' })
  stream.end('w'.repeat(200_000))
  let body = 0
  for await (const part of stream) body += (part as Buffer).length
  t.is(body, 200_000)
})

test('tls.connect: over a socket of ours', async (t) => {
  const port = await listen(
    t,
    tls.createServer({ key, cert }, (socket) => socket.pipe(socket)),
  )
  const socket = asNet(connect(port, '127.0.0.1'))
  const client = tls.connect({ socket, ca: cert, servername: 'localhost' })
  await within(once(client, 'secureConnect'), 'a handshake')
  t.true(client.authorized)
  client.write('secret')
  t.is(String(await within(once(client, 'data'), 'an echo')), 'secret')
  client.end()
  await within(once(client, 'close'), 'the end')
})

test('https.request: createConnection gives TLS over a socket of ours', async (t) => {
  const port = await listen(t, https.createServer({ key, cert }, echo))
  const socket = asNet(connect(port, '127.0.0.1'))
  const secure = tls.connect({ socket, ca: cert, servername: 'localhost' })
  const asked = https.request({ method: 'POST', createConnection: () => secure })
  const text = 'u'.repeat(300_000)
  const answered = once(asked.end(text), 'response')
  const [response] = (await within(answered, 'an answer')) as [http.IncomingMessage]
  let body = ''
  for await (const part of response) body += part
  t.is(body, text)
})

test('ws: createConnection, and messages of all sizes', async (t) => {
  interface WebSocket extends EventEmitter {
    send(data: unknown, options?: object): void
    close(): void
  }
  const { WebSocket, WebSocketServer } = untyped<{
    WebSocket: new (url: string, options: object) => WebSocket
    WebSocketServer: new (options: object) => EventEmitter
  }>('ws')
  const server = http.createServer()
  new WebSocketServer({ server }).on('connection', (socket: WebSocket) => {
    socket.on('message', (data: Buffer) => socket.send(data, { binary: true }))
  })
  const port = await listen(t, server)
  let socket: Socket | undefined
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, {
    createConnection: ({ host, port: at }: { host: string; port: number }) =>
      (socket = connect({ host, port: at })),
  })
  await within(once(client, 'open'), 'an open socket')
  for (const size of [0, 1, 125, 126, 65_536, 3_000_000]) {
    client.send(Buffer.alloc(size, 'q'))
    const [data] = (await within(once(client, 'message'), 'a message')) as [Buffer]
    t.true(data.equals(Buffer.alloc(size, 'q')))
  }
  client.close()
  await within(once(client, 'close'), 'the end')
  if (socket?.closed === false) await within(once(socket, 'close'), 'the end of the socket')
})

for (const isSecure of [false, true]) {
  test(`undici: a connector for ${isSecure ? 'https' : 'http'}`, async (t) => {
    const server = isSecure ? https.createServer({ key, cert }, echo) : http.createServer(echo)
    const port = await listen(t, server)
    const sockets = new Set<unknown>()
    const client = new undici.Client(`${isSecure ? 'https' : 'http'}://localhost:${port}`, {
      pipelining: 4,
      connect({ hostname, port: at, servername }, done) {
        const plain = asNet(connect({ host: hostname, port: at }))
        sockets.add(plain)
        const socket = isSecure ? tls.connect({ socket: plain, ca: cert, servername }) : plain
        socket.once(isSecure ? 'secureConnect' : 'connect', () => done(null, socket))
        socket.once('error', (error) => done(error, null))
      },
    })
    t.teardown(() => client.destroy())
    const bodies = Array.from({ length: 20 }, async (_, index) => {
      const { body } = await client.request({ path: '/', method: 'POST', body: `body ${index}` })
      return body.text()
    })
    const expected = Array.from(bodies, (_, index) => `body ${index}`)
    t.deepEqual(await within(Promise.all(bodies), 'all answers'), expected)
    t.is(sockets.size, 1)
    await within(client.close(), 'the end')
  })
}

test('mysql2: client and server', async (t) => {
  interface Connection extends EventEmitter {
    serverHandshake(options: object): void
    /** Each command begins anew; its own server forgets it. */
    _resetSequenceId(): void
    writeTextResult(rows: object[], columns: object[]): void
    writeOk(): void
    query(text: string, done: (error: Error | null, rows: object[]) => void): void
    end(): void
  }
  const mysql = untyped<{
    createServer(): EventEmitter & { _handleConnection(socket: unknown): void }
    createConnection(options: object): Connection
  }>('mysql2')
  // It makes a server of node:net by itself, and listens through nothing else.
  const service = mysql.createServer()
  const server = new Server().on('connection', (socket) => service._handleConnection(socket))
  const port = await listen(t, server as unknown as net.Server)
  service.on('connection', (connection: Connection) => {
    connection.serverHandshake({
      protocolVersion: 10,
      serverVersion: '8.0.0',
      connectionId: 1,
      statusFlags: 2,
      characterSet: 8,
      capabilityFlags: 0xff_f7_ff ^ 0x800,
      authCallback(_: unknown, done: (error: null) => void) {
        done(null)
        connection._resetSequenceId()
      },
    })
    connection.on('query', (text: string) => {
      const column = { catalog: 'def', name: 'text', columnType: 253, columnLength: 1024 }
      const rest = { schema: '', table: '', orgTable: '', orgName: 'text', characterSet: 33 }
      connection.writeTextResult([{ text }], [{ ...column, ...rest, flags: 0, decimals: 0 }])
      connection._resetSequenceId()
    })
    connection.on('quit', () => connection.end())
    connection.on('error', () => {})
  })
  const client = mysql.createConnection({ user: 'x', stream: connect(port, '127.0.0.1') })
  const rows = new Promise((resolve, reject) =>
    client.query('SELECT 1', (error, found) => (error ? reject(error) : resolve(found))),
  )
  t.deepEqual(
    await within(
      rows.then((found) => JSON.stringify(found)),
      'rows',
    ),
    '[{"text":"SELECT 1"}]',
  )
  client.end()
})

test('mqtt: a stream builder', async (t) => {
  const broker = await Aedes.createBroker()
  const { port } = await startNetServer(t, (socket) => broker.handle(socket))
  t.teardown(() => new Promise<void>((resolve) => broker.close(resolve)))
  interface Client extends EventEmitter {
    subscribeAsync(topic: string): Promise<unknown>
    publishAsync(topic: string, text: string): Promise<unknown>
    endAsync(): Promise<void>
  }
  const { MqttClient } = untyped<{
    MqttClient: new (build: () => unknown, options: object) => Client
  }>('mqtt')
  const client = new MqttClient(() => connect(port, '127.0.0.1'), { reconnectPeriod: 0 })
  await within(once(client, 'connect'), 'a connection')
  await within(client.subscribeAsync('here'), 'a subscription')
  const message = once(client, 'message')
  await client.publishAsync('here', 'z'.repeat(100_000))
  const [topic, payload] = (await within(message, 'a message')) as [string, Buffer]
  t.deepEqual([topic, payload.length], ['here', 100_000])
  await within(client.endAsync(), 'the end')
})

test('thrift: client and server', async (t) => {
  const attached = await attach(thriftServer(), { port: 0, host: '127.0.0.1' })
  const socket = connect((attached.address as net.AddressInfo).port, '127.0.0.1')
  const client = thriftClient(socket)
  await within(once(socket, 'connect'), 'a connection')
  const texts = ['one', 'two', 'three'.repeat(50_000)]
  const replies = await within(Promise.all(texts.map((text) => client.say(text))), 'replies')
  t.deepEqual(
    replies,
    texts.map((text) => text.toUpperCase()),
  )
  socket.end()
  await within(attached.shutdown(), 'a shutdown')
})

test('kafkajs: a socket factory', async (t) => {
  const port = await startKafkaBroker(t, ['orders', 'invoices'])
  interface Admin {
    connect(): Promise<void>
    listTopics(): Promise<string[]>
    disconnect(): Promise<void>
  }
  const { Kafka } = untyped<{ Kafka: new (options: object) => { admin(): Admin } }>('kafkajs')
  let sockets = 0
  const kafka = new Kafka({
    brokers: [`127.0.0.1:${port}`],
    logLevel: 0,
    socketFactory({
      host,
      port: at,
      onConnect,
    }: {
      host: string
      port: number
      onConnect(): void
    }) {
      sockets++
      return connect({ host, port: at }, onConnect).setKeepAlive(true, 60_000)
    },
  })
  const admin = kafka.admin()
  await within(admin.connect(), 'a connection')
  t.deepEqual((await within(admin.listTopics(), 'topics')).toSorted(), ['invoices', 'orders'])
  t.true(sockets > 0)
  await within(admin.disconnect(), 'the end')
})
