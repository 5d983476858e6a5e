import { getEventListeners } from 'node:events'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'

import test from 'ava'
import { stats } from 'nodepoll'
import {
  bytesCodec,
  connectRpc,
  jsonCodec,
  type MessagePack,
  messagePackCodec,
  type RpcCall,
  RpcError,
} from 'nodepoll/rpc'

import {
  codeOf,
  type Deferred,
  deferred,
  eventually,
  failureOf,
  within,
} from './helpers/deadline.ts'
import { runChild } from './helpers/child.ts'
import { leakCheck } from './helpers/leaks.ts'
import {
  callFrame,
  clientOf,
  frame,
  KINDS,
  preface,
  PREFACE_BYTES,
  rawClient,
  readFrame,
  startRpc,
} from './helpers/rpc.ts'
import { Peer } from './helpers/peer.ts'
import { portOf, startNetServer, temporaryPath } from './helpers/server.ts'

// Its types want those of a browser.
const { decode, encode } = createRequire(import.meta.url)('@msgpack/msgpack') as MessagePack

test.serial('replies come in any order, each to its own call', async (t) => {
  await leakCheck(t)
  const gates = new Map<number, Deferred<void>>()
  const server = await startRpc(t, {
    methods: {
      async wait(number: number) {
        const gate = deferred()
        gates.set(number, gate)
        await gate.promise
        return `reply ${number}`
      },
    },
  })
  const client = clientOf(t, server, { connections: 2 })
  const numbers = Array.from({ length: 100 }, (_, index) => index)
  const settled: number[] = []
  const replies = numbers.map(async (number) => {
    t.is(await client.call('wait', number), `reply ${number}`)
    settled.push(number)
  })
  await eventually(() => gates.size === 100, 'all calls at the server')
  t.is(server.callCount, 100)
  const order = numbers.toSorted((a, b) => ((a * 37) % 101) - ((b * 37) % 101))
  for (const number of order) {
    gates.get(number)?.resolve()
    await replies[number]
  }
  t.deepEqual(settled, order)
  t.deepEqual([client.callCount, server.callCount, client.connectionCount], [0, 0, 2])
})

test.serial(
  'what handlers throw fails their calls alone, with the code and message of an RpcError',
  async (t) => {
    await leakCheck(t)
    const errors: unknown[] = []
    const own = new Error('a secret of the server')
    const server = await startRpc(t, {
      methods: {
        sync: () => {
          throw new RpcError('NOT_FOUND', 'nobody is called Ada – ⚙')
        },
        later: () => Promise.reject(new RpcError('BUSY', 'x'.repeat(10_000))),
        bug: () => Promise.reject(own),
        unsayable: () => 1n,
        fine: () => 'fine',
      },
      onError: (error) => errors.push(error),
    })
    const client = clientOf(t, server)
    const sync = (await failureOf(client.call('sync'))) as RpcError
    t.true(sync instanceof RpcError)
    t.deepEqual(
      [sync.name, sync.code, sync.message],
      ['RpcError', 'NOT_FOUND', 'nobody is called Ada – ⚙'],
    )
    const later = await failureOf(client.call('later'))
    t.deepEqual([codeOf(later), later.message], ['BUSY', 'x'.repeat(4096)])
    t.deepEqual(errors, [])
    const bug = await failureOf(client.call('bug'))
    t.deepEqual([codeOf(bug), bug.message], ['ERR_NODEPOLL_RPC_FAILED', 'the handler has failed'])
    t.deepEqual(errors, [own])
    t.is(codeOf(await failureOf(client.call('unsayable'))), 'ERR_NODEPOLL_RPC_CODEC')
    t.is(codeOf(await failureOf(client.call('none'))), 'ERR_NODEPOLL_RPC_UNKNOWN_METHOD')
    t.is(codeOf(await failureOf(client.call('fine', 1n))), 'ERR_NODEPOLL_RPC_CODEC')
    t.is(await client.call('fine'), 'fine')
    t.is(client.connectionCount, 1)
  },
)

test.serial(
  'a handler for all methods gets their names, those with a handler of their own have that',
  async (t) => {
    await leakCheck(t)
    const server = await startRpc(t, {
      methods: { own: () => 'of its own' },
      handler: (request, { method }) => `${method} ${String(request)}`,
    })
    const client = clientOf(t, server)
    t.is(await client.call('own'), 'of its own')
    // More names than an end remembers.
    for (let index = 0; index < 1100; index += 100) {
      const names = Array.from({ length: 100 }, (_, at) => `method-${index + at}`)
      const replies = await Promise.all(names.map((name) => client.call(name, 1)))
      t.deepEqual(
        replies,
        names.map((name) => `${name} 1`),
      )
    }
    t.is(await client.call('méthode', 2), 'méthode 2')
    t.is(codeOf(await failureOf(client.call(''))), 'ERR_OUT_OF_RANGE')
    t.is(codeOf(await failureOf(client.call('é'.repeat(128)))), 'ERR_OUT_OF_RANGE')
    t.is(await client.call('x'.repeat(255), 3), `${'x'.repeat(255)} 3`)
  },
)

test.serial('methods whose names have the same hash are told apart', async (t) => {
  await leakCheck(t)
  const server = await startRpc(t, { methods: { Aa: () => 'first', BB: () => 'second' } })
  const client = clientOf(t, server)
  t.deepEqual([await client.call('Aa'), await client.call('BB')], ['first', 'second'])
  t.is(codeOf(await failureOf(client.call('C#'))), 'ERR_NODEPOLL_RPC_UNKNOWN_METHOD')
})

const values: [string, unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['text of three bytes a character', '– ⚙ –'.repeat(10_000)],
  ['a list', [1, 'two', { three: [3] }]],
]

for (const codec of [jsonCodec(), messagePackCodec({ decode, encode })]) {
  test.serial(`${codec.name} brings values to and fro`, async (t) => {
    await leakCheck(t)
    const server = await startRpc(t, { codec, methods: { echo: (value: unknown) => value } })
    const client = clientOf(t, server, { codec })
    for (const [what, value] of values) t.deepEqual(await client.call('echo', value), value, what)
  })
}

test.serial('bytes inside of MessagePack stay what they are when others follow', async (t) => {
  await leakCheck(t)
  const codec = messagePackCodec({ decode, encode })
  const kept: { bytes: Uint8Array }[] = []
  const server = await startRpc(t, {
    codec,
    methods: { keep: (file: { bytes: Uint8Array }) => kept.push(file) },
  })
  const client = clientOf(t, server, { codec, connections: 1 })
  for (let byte = 0; byte < 200; byte++) {
    await client.call('keep', { bytes: Buffer.alloc(4000, byte) })
  }
  t.true(kept.every(({ bytes }, byte) => bytes.length === 4000 && bytes.every((b) => b === byte)))
})

for (const views of [false, true]) {
  test.serial(
    `bytes of any length come back as they are${views ? ', as views' : ''}`,
    async (t) => {
      await leakCheck(t)
      const codec = bytesCodec({ views })
      const server = await startRpc(t, { codec, methods: { echo: (bytes: Buffer) => bytes } })
      const client = clientOf(t, server, { codec, connections: 2 })
      const lengths = [0, 1, 1000, 16_383, 16_384, 70_000, 300_000, 3_000_000]
      const sent = [...lengths, ...lengths, ...lengths].map((length, index) =>
        Buffer.alloc(length, `bytes ${index}`),
      )
      const same = await Promise.all(
        sent.map(async (bytes) => bytes.equals(await client.call<Buffer>('echo', bytes))),
      )
      t.true(same.every(Boolean))
      t.is(codeOf(await failureOf(client.call('echo', 'text'))), 'ERR_NODEPOLL_RPC_CODEC')
    },
  )
}

test.serial('without views a request and a reply are their owner’s for ever', async (t) => {
  await leakCheck(t)
  const codec = bytesCodec()
  const kept: Buffer[] = []
  const server = await startRpc(t, {
    codec,
    methods: { keep: (bytes: Buffer) => (kept.push(bytes), bytes) },
  })
  const client = clientOf(t, server, { codec })
  const replies: Buffer[] = []
  for (let byte = 0; byte < 200; byte++) {
    replies.push(await client.call<Buffer>('keep', Buffer.alloc(4000, byte)))
  }
  t.true(kept.every((bytes, byte) => bytes.equals(Buffer.alloc(4000, byte))))
  t.true(replies.every((bytes, byte) => bytes.equals(Buffer.alloc(4000, byte))))
})

test.serial('with views a large reply is sent from where the request was received', async (t) => {
  if (process.env['NODEPOLL_GUARD'] === '1') {
    t.pass('every view is a copy')
    return
  }
  await leakCheck(t)
  const codec = bytesCodec({ views: true })
  let before = Infinity
  const server = await startRpc(t, {
    codec,
    handler(bytes) {
      before = stats().bytesCopied
      return bytes
    },
  })
  const peer = await Peer.connect(t, server.address)
  await peer.send(preface({ codec: 'bytes', frameMax: 1 << 24 }))
  await peer.read(PREFACE_BYTES)
  await peer.send(callFrame(1, 'echo', 'z'.repeat(1_000_000)))
  t.is((await readFrame(peer)).rest.length, 1_000_000)
  const copied = stats().bytesCopied - before
  t.true(copied < 1000, `${copied} bytes copied`)
})

for (const host of ['inline', 'thread']) {
  test.serial(
    `with views a reply is there until the next await, and then no more: ${host}`,
    async (t) => {
      t.deepEqual([bytesCodec().hasViews, bytesCodec({ views: true }).hasViews], [false, true])
      const outcome = await runChild(
        t,
        `
    import { configure } from 'nodepoll'
    import { bytesCodec, connectRpc, serveRpc } from 'nodepoll/rpc'
    configure({ guard: true, host: '${host}' })
    const codec = bytesCodec({ views: true })
    let kept
    const methods = { echo: (bytes) => (kept = bytes) }
    const server = await serveRpc({ host: '127.0.0.1', codec, methods })
    const client = connectRpc({ host: '127.0.0.1', port: server.address.port, codec })
    for (const length of [5, 100_000]) {
      const call = client.call('echo', Buffer.alloc(length, 'x'))
      const reply = await call
      console.log(reply.length, reply.every((byte) => byte === 120))
      await client.call('echo', Buffer.from('another'))
      console.log(reply.length)
    }
    const request = kept
    await client.call('echo', Buffer.from('another'))
    console.log(request.length)
    await client.close()
    await server.shutdown()
    `,
      )
      t.deepEqual([outcome.stderr, outcome.stdout], ['', '5 true\n0\n100000 true\n0\n0\n'])
    },
  )
}

function near(at: number | undefined, wanted: number): boolean {
  return at !== undefined && Math.abs(at - wanted) < 10_000
}

test.serial('a call knows its method, its deadline and both addresses', async (t) => {
  await leakCheck(t)
  const calls: RpcCall[] = []
  const server = await startRpc(t, { handler: (_, call) => void calls.push(call) })
  const client = clientOf(t, server, { connections: 1 })
  const before = Date.now()
  await client.call('first', 0, { timeoutMs: 60_000 })
  await client.call('second', 0, { deadline: new Date(before + 90_000) })
  await client.call('third')
  const [first, second, third] = calls as [RpcCall, RpcCall, RpcCall]
  t.true(near(first.deadline, before + 60_000))
  t.true(near(second.deadline, before + 90_000))
  t.is(third.deadline, undefined)
  t.deepEqual(
    calls.map(({ method }) => method),
    ['first', 'second', 'third'],
  )
  t.deepEqual(first.localAddress, server.address)
  t.is(first.remoteAddress.family, 'IPv4')
})

test.serial(
  'a call is given up at its deadline by both ends, and its reply is not taken for another',
  async (t) => {
    await leakCheck(t)
    const reasons: unknown[] = []
    const server = await startRpc(t, {
      methods: {
        stuck: (_, { signal }) =>
          new Promise((resolve) =>
            signal.addEventListener('abort', () => {
              reasons.push(codeOf(signal.reason))
              resolve('too late')
            }),
          ),
        quick: () => 'quick',
      },
    })
    const client = clientOf(t, server, { connections: 1 })
    const errors = await Promise.all([
      failureOf(client.call('stuck', 0, { timeoutMs: 20 })),
      failureOf(client.call('stuck', 0, { deadline: Date.now() + 20 })),
    ])
    t.deepEqual(errors.map(codeOf), ['ERR_NODEPOLL_RPC_TIMEOUT', 'ERR_NODEPOLL_RPC_TIMEOUT'])
    t.is(
      codeOf(await failureOf(client.call('stuck', 0, { deadline: 0 }))),
      'ERR_NODEPOLL_RPC_TIMEOUT',
    )
    for (let count = 0; count < 50; count++) t.is(await client.call('quick'), 'quick')
    await eventually(() => reasons.length >= 2, 'the ends of the calls')
    for (const reason of reasons) {
      t.true(['ERR_NODEPOLL_RPC_TIMEOUT', 'ERR_NODEPOLL_RPC_CANCELED'].includes(String(reason)))
    }
  },
)

test.serial(
  'a server bounds the time of calls itself, of clients that say nothing too',
  async (t) => {
    await leakCheck(t)
    const deadlines: (number | undefined)[] = []
    const gate = deferred()
    const methods = {
      stuck: (_: unknown, call: RpcCall) => {
        deadlines.push(call.deadline)
        // It takes no notice of its signal.
        return gate.promise
      },
    }
    const server = await startRpc(t, { methods, timeoutMs: 30, timeoutMaxMs: 40 })
    const peer = await rawClient(t, server)
    await peer.send(
      Buffer.concat([callFrame(7, 'stuck', '0'), callFrame(8, 'stuck', '0', 100_000)]),
    )
    const failures = [await readFrame(peer), await readFrame(peer)]
    t.deepEqual(
      failures.map(({ kind, id, name }) => [kind, id, name]),
      [
        [KINDS.failure, 7, 'ERR_NODEPOLL_RPC_TIMEOUT'],
        [KINDS.failure, 8, 'ERR_NODEPOLL_RPC_TIMEOUT'],
      ],
    )
    t.is(server.callCount, 2)
    gate.resolve()
    await eventually(() => server.callCount === 0, 'the ends of the handlers')
    // Each was answered once.
    await peer.send(frame(KINDS.ping, 9))
    t.deepEqual(await readFrame(peer), { kind: KINDS.pong, id: 9, name: '', rest: '' })
  },
)

test.serial(
  'a cancelled call rejects at once with the reason, and its handler is told',
  async (t) => {
    await leakCheck(t)
    const cancelled = deferred<unknown>()
    const begun = deferred()
    const server = await startRpc(t, {
      methods: {
        stuck(_, { signal }) {
          begun.resolve()
          return new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => {
              cancelled.resolve(signal.reason)
              reject(signal.reason as Error)
            }),
          )
        },
      },
      onError: (error) => t.fail(String(error)),
    })
    const client = clientOf(t, server)
    const aborter = new AbortController()
    const reason = new Error('no longer wanted')
    const failure = failureOf(client.call('stuck', 0, { signal: aborter.signal }))
    await within(begun.promise, 'the handler')
    aborter.abort(reason)
    t.is(await failure, reason)
    t.is(codeOf(await within(cancelled.promise, 'the abort')), 'ERR_NODEPOLL_RPC_CANCELED')
    t.is(await failureOf(client.call('stuck', 0, { signal: aborter.signal })), reason)
    await eventually(() => server.callCount === 0, 'the end of the handler')
  },
)

test.serial(
  'H104: one signal for many calls has one listener, and none when they have settled',
  async (t) => {
    await leakCheck(t)
    const server = await startRpc(t, { methods: { echo: (value: unknown) => value } })
    const client = clientOf(t, server)
    const aborter = new AbortController()
    const { signal } = aborter
    const calls = Array.from({ length: 10_000 }, (_, index) =>
      client.call('echo', index, { signal }),
    )
    t.is(getEventListeners(signal, 'abort').length, 1)
    await within(Promise.all(calls), 'the replies')
    t.is(getEventListeners(signal, 'abort').length, 0)
    aborter.abort()
    t.is(client.callCount, 0)
  },
)

test.serial('the signals of calls are aborted when their peer has gone', async (t) => {
  await leakCheck(t)
  const signals: AbortSignal[] = []
  const server = await startRpc(t, {
    handler: (_, { signal }) =>
      new Promise((resolve) => {
        signals.push(signal)
        signal.addEventListener('abort', resolve)
      }),
  })
  const client = clientOf(t, server, { connections: 1 })
  const failures = [1, 2, 3].map((id) => failureOf(client.call(`method ${id}`)))
  await eventually(() => signals.length === 3, 'all calls')
  client.destroy()
  for (const failure of failures) t.is(codeOf(await failure), 'ERR_NODEPOLL_RPC_CLOSED')
  await eventually(() => signals.every(({ aborted }) => aborted), 'the aborts')
  t.is(codeOf(signals[0]?.reason), 'ERR_NODEPOLL_RPC_CONNECTION_LOST')
  t.is(codeOf(await failureOf(client.call('more'))), 'ERR_NODEPOLL_RPC_CLOSED')
})

test.serial('replies of one turn leave in one system call for each connection', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const server = await startRpc(t, { handler: () => gate.promise })
  const peer = await rawClient(t, server)
  await peer.send(Buffer.concat(Array.from({ length: 200 }, (_, id) => callFrame(id, 'm', '0'))))
  await eventually(() => server.callCount === 200, 'all calls')
  const before = stats().writes
  gate.resolve()
  for (let count = 0; count < 200; count++) t.is((await readFrame(peer)).kind, KINDS.reply)
  t.true(stats().writes - before <= 2, `${stats().writes - before} writes`)
})

test.serial('calls beyond callsMax fail at once, those that wait go on', async (t) => {
  await leakCheck(t)
  const gate = deferred()
  const server = await startRpc(t, { handler: () => gate.promise })
  const client = clientOf(t, server, { callsMax: 3 })
  const calls = [client.call('a'), client.call('a'), client.call('a')]
  t.is(codeOf(await failureOf(client.call('a'))), 'ERR_NODEPOLL_RPC_CALLS_MAX')
  gate.resolve()
  await within(Promise.all(calls), 'the replies')
  await within(client.call('a'), 'one more')
})

test.serial(
  'a request or reply that is too long fails its call and leaves the connection',
  async (t) => {
    await leakCheck(t)
    const codec = bytesCodec()
    const server = await startRpc(t, {
      codec,
      frameMax: 1 << 17,
      handler: (bytes) => Buffer.alloc(Number(String(bytes))),
    })
    const client = clientOf(t, server, { codec, frameMax: 1 << 16, connections: 1 })
    const long = client.call('m', Buffer.alloc(1 << 17))
    t.is(codeOf(await failureOf(long)), 'ERR_NODEPOLL_RPC_FRAME_LIMIT')
    t.is((await client.call<Buffer>('m', Buffer.from('65528'))).length, 65_528)
    const over = client.call('m', Buffer.from('65529'))
    t.is(codeOf(await failureOf(over)), 'ERR_NODEPOLL_RPC_FRAME_LIMIT')
    t.is((await client.call<Buffer>('m', Buffer.from('5'))).length, 5)
    t.is(client.connectionCount, 1)
  },
)

test.serial('close() waits for the calls that there are, and takes no more', async (t) => {
  await leakCheck(t)
  const gate = deferred<string>()
  const server = await startRpc(t, { handler: () => gate.promise })
  const client = clientOf(t, server)
  const call = client.call('m')
  await eventually(() => server.callCount === 1, 'the call')
  const closed = client.close()
  t.is(client.close(), closed)
  t.is(codeOf(await failureOf(client.call('m'))), 'ERR_NODEPOLL_RPC_CLOSED')
  gate.resolve('at last')
  t.is(await call, 'at last')
  await within(closed, 'the close')
  await eventually(() => server.connectionCount === 0, 'the ends of connections')
})

test.serial('calls go over a unix socket, too', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  await startRpc(t, { path, methods: { echo: (value: unknown) => value } })
  const client = connectRpc({ path })
  t.teardown(() => client.destroy())
  t.is(await client.call('echo', 'hello'), 'hello')
})

test.serial('wrong options are refused by name', async (t) => {
  const wrong: [object, string][] = [
    [{}, 'ERR_INVALID_ARG_TYPE'],
    [{ port: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ targets: [] }, 'ERR_INVALID_ARG_VALUE'],
    [{ targets: [{ port: 1 }], port: 1 }, 'ERR_INVALID_ARG_VALUE'],
    [{ port: 1, connections: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ port: 1, callsMax: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ port: 1, pingMs: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ port: 1, codec: {} }, 'ERR_OUT_OF_RANGE'],
    [{ port: 1, codec: { name: 'nine char', encode() {}, decode() {} } }, 'ERR_OUT_OF_RANGE'],
    [{ port: 1, codec: { name: 'mine' } }, 'ERR_INVALID_ARG_TYPE'],
    [{ port: 1, frameMax: 1000 }, 'ERR_OUT_OF_RANGE'],
  ]
  for (const [options, code] of wrong) t.throws(() => connectRpc(options), { code })
  await t.throwsAsync(startRpc(t, { concurrencyMax: 65_537 }), { code: 'ERR_OUT_OF_RANGE' })
  await t.throwsAsync(startRpc(t, { methods: { m: 1 } as never }), { code: 'ERR_INVALID_ARG_TYPE' })
  const client = connectRpc({ port: 1 })
  const call = (options: object): Promise<Error> => failureOf(client.call('m', 0, options))
  t.is(codeOf(await call({ timeoutMs: -1 })), 'ERR_OUT_OF_RANGE')
  t.is(codeOf(await call({ deadline: 'soon' })), 'ERR_INVALID_ARG_TYPE')
  t.is(codeOf(await call({ signal: {} })), 'ERR_INVALID_ARG_TYPE')
  await client.close()
})

test.serial(
  'H74: idle connections of a client let the process end, calls under way do not',
  async (t) => {
    const gate = deferred<string>()
    const server = await startRpc(t, { methods: { now: () => 'now', later: () => gate.promise } })
    const source = (rest: string): string => `
    import { connectRpc } from 'nodepoll/rpc'
    const client = connectRpc({ host: '127.0.0.1', port: ${portOf(server.address)} })
    console.log(await client.call('now'))
    ${rest}
  `
    const idle = await runChild(t, source(''))
    t.deepEqual([idle.code, idle.stdout], [0, 'now\n'])
    const unreffed = await runChild(t, source(`client.call('later'); client.unref()`))
    t.deepEqual([unreffed.code, unreffed.stdout], [0, 'now\n'])
    const closed = await runChild(t, source(`await client.close(); console.log('closed')`))
    t.deepEqual([closed.code, closed.stdout, closed.stderr], [0, 'now\nclosed\n', ''])
    const waiting = runChild(t, source(`client.call('later').then(console.log)`))
    await eventually(() => server.callCount >= 1, 'the call')
    gate.resolve('later')
    t.deepEqual((await waiting).stdout, 'now\nlater\n')
  },
)

test.serial('a connection that ends fails its calls at once, by name', async (t) => {
  await leakCheck(t)
  const sockets: Socket[] = []
  const { port } = await startNetServer(t, (socket) => {
    sockets.push(socket)
    socket.once('data', () => socket.write(preface({ concurrency: 10 })))
  })
  for (const end of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const client = clientOf(t, port, { connections: 1 })
    const calls = [1, 2, 3].map(() => failureOf(client.call('m')))
    await eventually(() => client.connectionCount === 1, 'the connection')
    sockets.pop()?.[end]()
    for (const call of calls) t.is(codeOf(await call), 'ERR_NODEPOLL_RPC_CONNECTION_LOST', end)
    t.is(client.callCount, 0)
  }
})
