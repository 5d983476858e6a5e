import { execFileSync, spawnSync } from 'node:child_process'

import test, { type ExecutionContext } from 'ava'
import { Redis } from 'ioredis'

import { DEADLINE_MS, within } from './helpers/deadline.ts'
import { type Program, startProgram, stopProgram, talk } from './helpers/program.ts'

const start = (t: ExecutionContext): Promise<Program> =>
  startProgram(t, 'examples/resp/server.mjs', ['0'])

function client(t: ExecutionContext, { port }: Program): Redis {
  const redis = new Redis({ host: '127.0.0.1', port, retryStrategy: null })
  redis.on('error', (error) => t.log(error.message))
  t.teardown(() => redis.disconnect())
  return redis
}

// One after the other: each starts processes. Elsewhere a signal kills without giving the program
// the chance to close its connections.
const onPosix = process.platform === 'win32' ? test.skip : test.serial

onPosix('ioredis sets, gets, counts and deletes', async (t) => {
  const server = await start(t)
  const redis = client(t, server)
  t.is(await redis.set('greeting', 'grüß dich'), 'OK')
  t.is(await redis.get('greeting'), 'grüß dich')
  t.is(await redis.get('nothing'), null)
  t.is(await redis.incr('count'), 1)
  t.is(await redis.incrby('count', 41), 42)
  t.deepEqual(await redis.mget('count', 'nothing', 'greeting'), ['42', null, 'grüß dich'])
  t.is(await redis.exists('count', 'count', 'nothing'), 2)
  t.is(await redis.del('count', 'nothing'), 1)
  t.is(await redis.dbsize(), 1)
  t.is(await redis.flushall(), 'OK')
  t.is(await redis.dbsize(), 0)
  t.is(await redis.quit(), 'OK')
  await stopProgram(t, server)
})

onPosix('keys go when their time has come, and only then', async (t) => {
  const server = await start(t)
  const redis = client(t, server)
  await redis.set('long', 'a', 'EX', 100)
  t.is(await redis.ttl('long'), 100)
  await redis.set('for ever', 'a')
  t.is(await redis.ttl('for ever'), -1)
  t.is(await redis.set('long', 'b', 'NX'), null)
  t.is(await redis.get('long'), 'a')
  await redis.set('short', 'a', 'PX', 20)
  const gone = async (): Promise<void> => {
    while ((await redis.get('short')) !== null) await redis.ping()
  }
  await within(gone(), 'the end of a key')
  t.is(await redis.ttl('short'), -2)
  await stopProgram(t, server)
})

onPosix('a pipeline of 5,000 requests is answered in order, errors in their place', async (t) => {
  const server = await start(t)
  const pipeline = client(t, server).pipeline()
  for (let number = 0; number < 5000; number++) {
    if (number === 2500) pipeline.call('nonsense')
    else pipeline.incr('count')
  }
  const replies = (await pipeline.exec()) ?? []
  t.is(replies.length, 5000)
  t.is(replies[2500]?.[0]?.message, "ERR unknown command 'nonsense'")
  const numbers = replies.flatMap(([error, value]) => (error === null ? [value] : []))
  t.deepEqual(
    numbers,
    Array.from({ length: 4999 }, (_, index) => index + 1),
  )
  await stopProgram(t, server)
})

onPosix('a value larger than the input buffer comes and goes unchanged', async (t) => {
  const server = await start(t)
  const redis = client(t, server)
  const bytes = Buffer.from(
    Uint8Array.from({ length: 5_000_000 }, (_, at) => (at * 31) ^ (at >> 8)),
  )
  t.is(await redis.set('large', bytes), 'OK')
  t.true((await redis.getBuffer('large'))?.equals(bytes))
  await stopProgram(t, server)
})

onPosix('requests may be typed, come in any pieces and several at a time', async (t) => {
  const server = await start(t)
  const typist = await talk(t, server.port)
  await typist.say(
    'PI',
    'NG\r',
    '\n',
    '\r\nset a 1\r\nINCR a\r\n*2\r\n$3\r\nGET\r\n$',
    '1\r\na\r\n',
  )
  t.is(await typist.hear(/\$1\r\n2\r\n$/), '+PONG\r\n+OK\r\n:2\r\n$1\r\n2\r\n')
  await stopProgram(t, server)
})

onPosix('wrong requests are told what is wrong, and the connection goes on', async (t) => {
  const server = await start(t)
  const typist = await talk(t, server.port)
  await typist.say('GET\r\nSET a b c\r\nSET a b\r\nINCR a\r\nwhat is\r\nPING\r\n')
  t.deepEqual((await typist.hear(/PONG\r\n$/)).split('\r\n'), [
    "-ERR wrong number of arguments for 'GET' command",
    '-ERR syntax error',
    '+OK',
    '-ERR value is not an integer or out of range',
    "-ERR unknown command 'what'",
    '+PONG',
    '',
  ])
  await stopProgram(t, server)
})

onPosix('what is no request ends its connection with a word, and no other', async (t) => {
  const server = await start(t)
  const redis = client(t, server)
  for (const nonsense of ['*1\r\n!1\r\n', '*9999999999\r\n', '*1\r\n$-5\r\n', 'x'.repeat(70_000)]) {
    const stranger = await talk(t, server.port)
    await stranger.say(nonsense)
    t.regex(await stranger.ended(), /^-ERR Protocol error: [^\r]+\r\n$/)
  }
  t.is(await redis.ping(), 'PONG')
  await stopProgram(t, server)
})

const hasRedisCli = spawnSync('redis-cli', ['--version']).status === 0
const withRedisCli = hasRedisCli ? onPosix : test.skip

withRedisCli('redis-cli is served', async (t) => {
  const server = await start(t)
  const cli = (...args: string[]): string =>
    execFileSync('redis-cli', ['-p', String(server.port), ...args], {
      encoding: 'utf8',
      timeout: DEADLINE_MS,
    }).trim()
  t.is(cli('SET', 'a', 'b'), 'OK')
  t.is(cli('GET', 'a'), 'b')
  t.regex(cli('WHAT'), /unknown command 'WHAT'/)
  await stopProgram(t, server)
})
