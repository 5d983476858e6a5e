import { type EventEmitter, once } from 'node:events'
import * as http from 'node:http'
import type * as net from 'node:net'

import * as grpc from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import test, { type ExecutionContext } from 'ava'
import fastify from 'fastify'
import { createServer, type Server, Socket } from 'nodepoll/stream'

import { ask, keepAlive, start } from './helpers/attached.ts'
import { deferred, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { untyped } from './helpers/untyped.ts'

const asJson = { 'content-type': 'application/json' }

test.serial('fastify: its routes over one socket of ours', async (t) => {
  await leakCheck(t)
  const app = fastify()
  const sockets = new Set<unknown>()
  app.post('/greet', (request) => {
    sockets.add(request.socket)
    return { hello: request.body, ip: request.ip }
  })
  await app.ready()
  const { attached, port } = await start(t, app.server)
  const agent = keepAlive(t, { maxSockets: 1 })
  const options = { port, agent, path: '/greet', method: 'POST', headers: asJson }
  for (const name of ['you', 'x'.repeat(500_000)]) {
    const answer = await ask(options, JSON.stringify(name))
    t.deepEqual(JSON.parse(answer.body), { hello: name, ip: '127.0.0.1' })
  }
  t.is(sockets.size, 1)
  t.true([...sockets][0] instanceof Socket)
  await within(attached.shutdown(), 'a shutdown')
  await within(app.close(), 'the end of fastify')
})

test.serial('fastify: what is under way is answered before both layers end', async (t) => {
  await leakCheck(t)
  const app = fastify()
  const asked = deferred()
  const held = deferred<string>()
  const ends: string[] = []
  app.get('/held', async () => {
    asked.resolve()
    return held.promise
  })
  app.addHook('onClose', async () => void ends.push('fastify'))
  await app.ready()
  const { attached, port } = await start(t, app.server)
  const answer = ask({ port, agent: keepAlive(t), path: '/held' })
  await within(asked.promise, 'a request')
  const down = attached.shutdown().then(() => ends.push('sockets'))
  await turn()
  t.deepEqual(ends, [])
  held.resolve('in time')
  t.is((await answer).body, 'in time')
  await within(down, 'a shutdown')
  await within(app.close(), 'the end of fastify')
  t.deepEqual(ends, ['sockets', 'fastify'])
})

interface ExpressResponse {
  json(value: unknown): void
  end(text: string): void
}
type ExpressHandler = (
  request: { params: object; ip: string; socket: unknown },
  response: ExpressResponse,
) => void
type Express = http.RequestListener & { get(path: string, handler: ExpressHandler): void }

const express = untyped<() => Express>('express')

test.serial('express: its routes over one socket of ours, and a shutdown', async (t) => {
  await leakCheck(t)
  const app = express()
  const sockets = new Set<unknown>()
  const asked = deferred<ExpressResponse>()
  app.get('/users/:id', (request, response) => {
    sockets.add(request.socket)
    response.json({ ...request.params, ip: request.ip })
  })
  app.get('/held', (_, response) => asked.resolve(response))
  const { attached, port } = await start(t, http.createServer(app))
  const agent = keepAlive(t, { maxSockets: 1 })
  for (const id of ['7', '8']) {
    const answer = await ask({ port, agent, path: `/users/${id}` })
    t.deepEqual(JSON.parse(answer.body), { id, ip: '127.0.0.1' })
  }
  t.is(sockets.size, 1)
  t.true([...sockets][0] instanceof Socket)
  const late = ask({ port, agent, path: '/held' })
  const response = await within(asked.promise, 'a request')
  let isDown = false
  const down = attached.shutdown().then(() => (isDown = true))
  await turn()
  t.false(isDown)
  response.end('in time')
  t.is((await late).body, 'in time')
  await within(down, 'a shutdown')
})

interface WebSocket extends EventEmitter {
  send(data: unknown, options?: object): void
  close(code?: number): void
}
interface WebSocketServer extends EventEmitter {
  readonly clients: Set<WebSocket>
}

const { WebSocket, WebSocketServer } = untyped<{
  WebSocket: new (url: string) => WebSocket
  WebSocketServer: new (options: object) => WebSocketServer
}>('ws')

for (const compression of ['without', 'with']) {
  test.serial(`ws: messages of all sizes, both ways, ${compression} compression`, async (t) => {
    await leakCheck(t)
    const server = http.createServer()
    const perMessageDeflate = compression === 'with'
    const sockets = new WebSocketServer({ server, perMessageDeflate })
    sockets.on('connection', (socket: WebSocket) => {
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        socket.send(data, { binary: isBinary })
      })
    })
    const { attached, port } = await start(t, server)
    const client = new WebSocket(`ws://127.0.0.1:${port}/`)
    await within(once(client, 'open'), 'an open socket')
    for (const size of [0, 1, 125, 126, 65_536, 3_000_000]) {
      client.send(Buffer.alloc(size, 'z'))
      const [data] = (await within(once(client, 'message'), 'a message')) as [Buffer]
      t.true(data.equals(Buffer.alloc(size, 'z')))
    }
    client.close()
    await within(once(client, 'close'), 'the end')
    await within(attached.shutdown(), 'a shutdown')
  })
}

test.serial('ws: a shutdown waits for open sockets, which the server closes', async (t) => {
  await leakCheck(t)
  const server = http.createServer()
  const sockets = new WebSocketServer({ server })
  const { attached, port } = await start(t, server)
  const clients = [1, 2, 3].map(() => new WebSocket(`ws://127.0.0.1:${port}/`))
  await within(Promise.all(clients.map((client) => once(client, 'open'))), 'open sockets')
  await eventually(() => sockets.clients.size === 3, 'all on the side of the server')
  let isDown = false
  const down = attached.shutdown().then(() => (isDown = true))
  const [client] = clients
  const last = once(client as WebSocket, 'message')
  for (const socket of sockets.clients) socket.send('last')
  t.is(String((await within(last, 'a message'))[0]), 'last')
  t.false(isDown)
  const codes = Promise.all(clients.map((each) => once(each, 'close')))
  for (const socket of sockets.clients) socket.close(1001)
  t.deepEqual(
    (await within(codes, 'the end')).map(([code]) => code as number),
    [1001, 1001, 1001],
  )
  await within(down, 'a shutdown')
})

const bytes = {
  requestSerialize: (value: Buffer): Buffer => value,
  requestDeserialize: (value: Buffer): Buffer => value,
  responseSerialize: (value: Buffer): Buffer => value,
  responseDeserialize: (value: Buffer): Buffer => value,
}

/** A service whose messages are bytes, so that no compiler is needed. */
const echo = {
  say: { path: '/Echo/Say', requestStream: false, responseStream: false, ...bytes },
  talk: { path: '/Echo/Talk', requestStream: true, responseStream: true, ...bytes },
} as const satisfies grpc.ServiceDefinition

type Call = grpc.ServerUnaryCall<Buffer, Buffer>
type Talk = grpc.ServerDuplexStream<Buffer, Buffer>

/** The services of gRPC over sockets of ours, and a client. */
async function startGrpc(
  t: ExecutionContext,
  answer: (call: Call, done: grpc.sendUnaryData<Buffer>) => void,
): Promise<{
  listener: Server
  injector: grpc.ConnectionInjector
  server: grpc.Server
  client: grpc.Client
}> {
  const server = new grpc.Server()
  server.addService(echo, {
    say: answer,
    talk(call: Talk) {
      call.on('data', (value: Buffer) => call.write(value))
      call.on('end', () => call.end())
    },
  })
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const listener = createServer((socket) => injector.injectConnection(socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const Client = grpc.makeGenericClientConstructor(echo, 'Echo')
  const { port } = listener.address() as net.AddressInfo
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
  t.teardown(() => {
    client.close()
    injector.destroy()
    server.forceShutdown()
    listener.close()
  })
  return { listener, injector, server, client }
}

function say(client: grpc.Client, text: string): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = echo.say
  return new Promise((resolve, reject) => {
    const given = (error: grpc.ServiceError | null, value?: Buffer): void => {
      if (error) reject(error)
      else resolve(String(value))
    }
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.from(text), given)
  })
}

test.serial('@grpc/grpc-js: calls and streams over injected connections', async (t) => {
  await leakCheck(t)
  const { client } = await startGrpc(t, (call, done) => {
    done(null, Buffer.from(call.request.toString().toUpperCase()))
  })
  const texts = ['a', 'b', 'c'.repeat(1_000_000)]
  const answers = await within(Promise.all(texts.map((text) => say(client, text))), 'three calls')
  t.deepEqual(
    answers,
    texts.map((text) => text.toUpperCase()),
  )
  const { path, requestSerialize, responseDeserialize } = echo.talk
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
  const heard: string[] = []
  stream.on('data', (value: Buffer) => heard.push(String(value)))
  const said = Array.from({ length: 1000 }, (_, index) => `${index}`)
  for (const text of said) stream.write(Buffer.from(text))
  stream.end()
  await within(once(stream, 'end'), 'the end of the stream')
  t.deepEqual(heard, said)
})

test.serial('@grpc/grpc-js: a call under way is answered before both layers end', async (t) => {
  await leakCheck(t)
  const held = deferred<grpc.sendUnaryData<Buffer>>()
  const { client, listener, injector, server } = await startGrpc(t, (_, done) => held.resolve(done))
  const call = say(client, 'held')
  const done = await within(held.promise, 'a call')
  const closed = once(listener, 'close')
  let isClosed = false
  void closed.then(() => (isClosed = true))
  listener.close()
  injector.drain(10_000)
  const shutDown = new Promise<void>((resolve, reject) =>
    server.tryShutdown((error) => (error ? reject(error) : resolve())),
  )
  await turn()
  t.false(isClosed)
  done(null, Buffer.from('in time'))
  t.is(await within(call, 'an answer'), 'in time')
  await within(Promise.all([closed, shutDown]), 'a shutdown')
})

interface MqttClient extends EventEmitter {
  readonly stream: net.Socket
  subscribeAsync(topic: string, options: object): Promise<unknown>
  publishAsync(topic: string, payload: string | Buffer, options: object): Promise<unknown>
  endAsync(force: boolean): Promise<void>
}

const mqtt = untyped<{ connectAsync(url: string, options: object): Promise<MqttClient> }>('mqtt')

/** A broker over sockets of ours, and what makes clients of it. */
async function startAedes(t: ExecutionContext): Promise<{
  listener: Server
  broker: Aedes
  join(options?: object): Promise<MqttClient>
}> {
  const broker = await Aedes.createBroker()
  const listener = createServer((socket) => void broker.handle(socket as unknown as net.Socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  t.teardown(async () => {
    await new Promise<void>((resolve) => broker.close(resolve))
    listener.close()
  })
  const join = async (options: object = {}): Promise<MqttClient> => {
    const url = `mqtt://127.0.0.1:${port}`
    const client = await within(mqtt.connectAsync(url, { reconnectPeriod: 0, ...options }), url)
    t.teardown(() => client.endAsync(true))
    return client
  }
  return { listener, broker, join }
}

function message(client: MqttClient): Promise<[string, Buffer]> {
  return within(once(client, 'message'), 'a message') as Promise<[string, Buffer]>
}

test.serial('aedes: messages of each quality from one client to another', async (t) => {
  await leakCheck(t)
  const { join } = await startAedes(t)
  const [one, other] = await Promise.all([join(), join()])
  await one.subscribeAsync('news/#', { qos: 2 })
  for (const qos of [0, 1, 2]) {
    const payload = Buffer.alloc(qos * 1_000_000 + 1, `${qos}`)
    const heard = message(one)
    await within(other.publishAsync('news/today', payload, { qos }), 'an acknowledgement')
    const [topic, got] = await heard
    t.is(topic, 'news/today')
    t.true(got.equals(payload))
  }
})

test.serial('aedes: a will is published when the socket of its client is reset', async (t) => {
  await leakCheck(t)
  const { join } = await startAedes(t)
  const will = { topic: 'gone', payload: Buffer.from('reset'), qos: 1, retain: false }
  const [one, dying] = await Promise.all([join(), join({ will })])
  await one.subscribeAsync('gone', { qos: 1 })
  const heard = message(one)
  dying.stream.resetAndDestroy()
  t.is(String((await heard)[1]), 'reset')
})

test.serial('aedes: when broker and listener are closed, all clients are gone', async (t) => {
  await leakCheck(t)
  const { broker, listener, join } = await startAedes(t)
  const clients = await Promise.all([join(), join(), join()])
  t.is(broker.connectedClients, 3)
  const ends = clients.map((client) => once(client, 'close'))
  const closed = once(listener, 'close')
  listener.close()
  await within(new Promise<void>((resolve) => broker.close(resolve)), 'the end of the broker')
  await within(Promise.all([...ends, closed]), 'the end of all')
  t.is(broker.connectedClients, 0)
})
