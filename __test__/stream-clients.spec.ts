import { type EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import type * as net from 'node:net'
import * as tls from 'node:tls'

import { Aedes } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'
import { attach, connect, createConnection, Server, Socket } from 'nodepoll/stream'
import * as undici from 'undici'

import { within } from './helpers/deadline.ts'
import { startKafkaBroker } from './helpers/kafka-broker.ts'
import { startPostgres } from './helpers/postgres.ts'
import { startProgram, stopProgram } from './helpers/program.ts'
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

test('undici: a connector', async (t) => {
  const port = await listen(t, http.createServer(echo))
  const client = new undici.Client(`http://127.0.0.1:${port}`, {
    pipelining: 4,
    connect({ hostname, port: at }, done) {
      const socket = connect({ host: hostname, port: at })
      socket.once('connect', () => done(null, asNet(socket)))
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
  await within(client.close(), 'the end')
})

const onPosix = process.platform === 'win32' ? test.skip : test.serial

onPosix('ioredis: a connector', async (t) => {
  const server = await startProgram(t, 'examples/resp/server.mjs', ['0'])
  const { default: AbstractConnector } = untyped<{
    default: new (timeoutMs: number) => { stream: unknown; connecting: boolean }
  }>('ioredis/built/connectors/AbstractConnector.js')
  class Connector extends AbstractConnector {
    constructor() {
      super(1000)
    }
    connect(): Promise<net.Socket> {
      this.connecting = true
      const socket = asNet(connect(server.port, '127.0.0.1'))
      this.stream = socket
      return Promise.resolve(socket)
    }
  }
  const redis = new Redis({ Connector: Connector as never, retryStrategy: null })
  t.teardown(() => redis.disconnect())
  t.is(await within(redis.set('key', 'value'), 'a reply'), 'OK')
  const values = await within(
    Promise.all(Array.from({ length: 500 }, () => redis.get('key'))),
    'many',
  )
  t.true(values.every((value) => value === 'value'))
  t.true((redis as unknown as { stream: unknown }).stream instanceof Socket)
  t.is(await redis.quit(), 'OK')
  await stopProgram(t, server)
})

onPosix('pg: a stream', async (t) => {
  const { port, isReal } = await startPostgres(t)
  interface Client extends EventEmitter {
    connect(): Promise<void>
    query(text: string): Promise<{ rows: { value: string }[] }>
    end(): Promise<void>
  }
  const pg = untyped<{ Client: new (options: object) => Client }>('pg')
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'test',
    database: 'postgres',
    keepAlive: true,
    stream: () => new Socket(),
  })
  await within(client.connect(), 'a session')
  const ask = async (text: string): Promise<string | undefined> =>
    (await within(client.query(text), 'rows')).rows[0]?.value
  t.is(await ask(`SELECT 'grüß dich' AS value`), 'grüß dich')
  t.is((await ask(`SELECT repeat('x', 1000000) AS value`))?.length, 1_000_000)
  if (isReal) t.regex((await ask('SELECT version() AS value')) ?? '', /^PostgreSQL /)
  await within(client.end(), 'the end')
})

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
