import { once } from 'node:events'
import type * as net from 'node:net'

import type { ExecutionContext } from 'ava'
import { Redis, type RedisOptions } from 'ioredis'
import { connect, Socket } from 'nodepoll/stream'

import { deferred, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { startRealServer, testWith } from './helpers/real-server.ts'
import { untyped } from './helpers/untyped.ts'

const { default: AbstractConnector } = untyped<{
  default: new (timeoutMs: number) => { stream: unknown; connecting: boolean }
}>('ioredis/built/connectors/AbstractConnector.js')

class Connector extends AbstractConnector {
  readonly #options: net.TcpNetConnectOpts

  constructor(options: net.TcpNetConnectOpts) {
    super(1000)
    this.#options = options
  }

  connect(): Promise<net.Socket> {
    this.connecting = true
    const socket = connect(this.#options) as unknown as net.Socket
    this.stream = socket
    return Promise.resolve(socket)
  }
}

/** A client over a socket of ours, until the test ends. */
async function client(
  t: ExecutionContext,
  port: number,
  options: RedisOptions = {},
): Promise<Redis> {
  const redis = new Redis({
    host: '127.0.0.1',
    port,
    retryStrategy: null,
    ...options,
    Connector: Connector as never,
  })
  t.teardown(() => redis.disconnect())
  await within(once(redis, 'ready'), 'a session')
  t.true(streamOf(redis) instanceof Socket)
  return redis
}

function streamOf(redis: Redis): Socket {
  return (redis as unknown as { stream: Socket }).stream
}

/** An event, whatever errors come before it. */
function told(redis: Redis, event: string): Promise<unknown> {
  return new Promise((resolve) => redis.once(event, resolve))
}

const onRedis = testWith('redis')

onRedis('ioredis: values of all kinds come back as they were', async (t, port) => {
  await leakCheck(t)
  const redis = await client(t, port)
  t.is(await redis.set('text', 'grüß dich'), 'OK')
  t.is(await redis.get('text'), 'grüß dich')
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  await redis.set('bytes', bytes)
  t.deepEqual(await redis.getBuffer('bytes'), bytes)
  await redis.hset('hash', { one: 1, two: 2 })
  t.deepEqual(await redis.hgetall('hash'), { one: '1', two: '2' })
  t.is(await redis.get('nothing'), null)
  const error = await failureOf(redis.incr('text'), 'an error')
  t.regex(error.message, /not an integer/)
  t.is(await redis.incr('number'), 1)
  t.is(await within(redis.quit(), 'the end'), 'OK')
})

onRedis('ioredis: a value of 20 MiB goes both ways', async (t, port) => {
  await leakCheck(t)
  const redis = await client(t, port)
  const value = Buffer.alloc(20 * 1024 * 1024, 'a value of many nodes ')
  await within(redis.set('large', value), 'a reply')
  t.true((await within(redis.getBuffer('large'), 'the value'))?.equals(value))
  await redis.del('large')
  await redis.quit()
})

onRedis('ioredis: a pipeline of 1,000 commands is answered in order', async (t, port) => {
  await leakCheck(t)
  const redis = await client(t, port)
  const pipeline = redis.pipeline()
  for (let index = 0; index < 1000; index++) pipeline.rpush('list', index)
  const replies = await within(pipeline.exec(), 'replies')
  t.deepEqual(
    replies,
    Array.from({ length: 1000 }, (_, index) => [null, index + 1]),
  )
  const values = await redis.lrange('list', 0, -1)
  t.deepEqual(
    values,
    Array.from({ length: 1000 }, (_, index) => `${index}`),
  )
  await redis.quit()
})

onRedis('ioredis: what is published reaches each subscriber in order', async (t, port) => {
  await leakCheck(t)
  const [one, other, publisher] = await Promise.all([1, 2, 3].map(() => client(t, port)))
  const count = 500
  const heard = [one, other].map(async (redis) => {
    const all: string[] = []
    const last = deferred()
    redis?.on('message', (_, text: string) => {
      if (all.push(text) === count) last.resolve()
    })
    await redis?.subscribe('news')
    return { all, last: last.promise }
  })
  const subscribers = await within(Promise.all(heard), 'subscriptions')
  const texts = Array.from({ length: count }, (_, index) => `${index}`)
  const reached = await Promise.all(texts.map((text) => publisher?.publish('news', text)))
  t.true(reached.every((subscribed) => subscribed === 2))
  for (const { all, last } of subscribers) {
    await within(last, 'all messages')
    t.deepEqual(all, texts)
  }
  await Promise.all([one, other, publisher].map((redis) => redis?.quit()))
})

onRedis('ioredis: a pop that blocks ends with a push of another client', async (t, port) => {
  await leakCheck(t)
  const [waiting, pushing] = await Promise.all([client(t, port), client(t, port)])
  const id = await waiting.client('ID')
  const popped = waiting.blpop('queue', 0)
  const isBlocked = async (): Promise<boolean> => {
    const clients = String(await pushing.client('LIST'))
    return new RegExp(`^id=${id} .*flags=b`, 'm').test(clients)
  }
  while (!(await isBlocked())) t.pass()
  await pushing.rpush('queue', 'at last')
  t.deepEqual(await within(popped, 'a value'), ['queue', 'at last'])
  await Promise.all([waiting.quit(), pushing.quit()])
})

onRedis('ioredis: a client connects again after its server was killed', async (t) => {
  await leakCheck(t)
  const server = await startRealServer(t, 'redis')
  const redis = await client(t, server.port, { retryStrategy: () => 20 })
  redis.on('error', () => {})
  const first = streamOf(redis)
  await redis.set('key', 'before')
  const gone = told(redis, 'close')
  await server.kill()
  await within(gone, 'the end')
  t.true(first.destroyed)
  // Asked while nobody listens: it waits for the next connection.
  const reply = redis.set('key', 'after')
  const ready = told(redis, 'ready')
  await server.start()
  await within(ready, 'a new session')
  t.is(await within(reply, 'a reply'), 'OK')
  t.not(streamOf(redis), first)
  t.true(streamOf(redis) instanceof Socket)
  t.is(await redis.get('key'), 'after')
  await redis.quit()
})
