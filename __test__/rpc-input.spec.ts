import test, { type ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import type { RpcServer, RpcServerOptions } from 'nodepoll/rpc'

import { codeOf, eventually, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import {
  callFrame,
  clientOf,
  type Frame,
  frame,
  KINDS,
  preface,
  PREFACE_BYTES,
  rawClient,
  readFrame,
  startRpc,
} from './helpers/rpc.ts'
import { startNetServer } from './helpers/server.ts'

/** A server, and the codes of what its `onError` was told of. */
async function startTold(
  t: ExecutionContext,
  options: RpcServerOptions = {},
): Promise<{ server: RpcServer; codes: (string | undefined)[] }> {
  const codes: (string | undefined)[] = []
  const server = await startRpc(t, {
    methods: { echo: (value: unknown) => value },
    onError: (error) => codes.push(codeOf(error)),
    ...options,
  })
  return { server, codes }
}

/** The frames that come up to FIN. */
async function framesToEnd(peer: Peer): Promise<Frame[]> {
  const bytes = await peer.readToEnd()
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) {
    const end = at + 12 + bytes.readUInt16BE(at + 6)
    frames.push({
      kind: bytes[at + 4] as number,
      id: bytes.readUInt32BE(at + 8),
      name: bytes.toString('latin1', at + 12, end),
      rest: bytes.toString('utf8', end, at + 4 + bytes.readUInt32BE(at)),
    })
  }
  return frames
}

const tlsHello = Buffer.from('160301020001000001fc0303', 'hex')

const strangers: [string, Uint8Array | string, RegExp][] = [
  ['HTTP', 'GET / HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 400 [^]*ERR_NODEPOLL_RPC_PREFACE/],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 400 /],
  // oxlint-disable-next-line no-control-regex -- an alert of TLS
  ['TLS', tlsHello, /^\x15\x03\x01\0\x02\x02\x0a$/],
  ['anything else', 'EHLO me\r\n', /^$/],
]

for (const [what, hello, answer] of strangers) {
  test.serial(
    `a peer that speaks ${what} has its connection ended, and is told if it can be`,
    async (t) => {
      await leakCheck(t)
      const { server, codes } = await startTold(t)
      const peer = await Peer.connect(t, server.address)
      await peer.send(hello)
      t.regex((await peer.readToEnd()).toString('latin1'), answer)
      t.deepEqual(codes, ['ERR_NODEPOLL_RPC_PREFACE'])
      t.is(await clientOf(t, server).call('echo', 'still'), 'still')
    },
  )
}

test.serial('a preface may come byte by byte, and one that is cut off is no error', async (t) => {
  await leakCheck(t)
  const { server, codes } = await startTold(t)
  const whole = await Peer.connect(t, server.address)
  for (const byte of preface()) await whole.send(Buffer.of(byte))
  const answer = await whole.read(PREFACE_BYTES)
  t.deepEqual(answer, preface({ frameMax: 16 << 20, concurrency: 1024 }))
  const cut = await Peer.connect(t, server.address)
  cut.end('npr')
  await cut.readToEnd()
  t.deepEqual(codes, [])
})

const refused: [string, Buffer, string][] = [
  ['another codec', preface({ codec: 'msgpack' }), 'ERR_NODEPOLL_RPC_UNKNOWN_CODEC'],
  ['another version', preface({ version: 2 }), 'ERR_NODEPOLL_RPC_VERSION'],
]

for (const [what, hello, code] of refused) {
  test.serial(`a peer of ${what} is told what the server has, and why it ends`, async (t) => {
    await leakCheck(t)
    const { server, codes } = await startTold(t)
    const peer = await Peer.connect(t, server.address)
    await peer.send(hello)
    t.deepEqual(await peer.read(PREFACE_BYTES), preface({ frameMax: 16 << 20, concurrency: 1024 }))
    const [last, ...more] = await framesToEnd(peer)
    t.deepEqual([last?.kind, last?.name, more], [KINDS.goAway, code, []])
    t.deepEqual(codes, [code])
  })
}

const bad: [string, Buffer, string][] = [
  ['a length over the limit', Buffer.of(0xff, 0xff, 0xff, 0xff), 'ERR_NODEPOLL_RPC_FRAME_LIMIT'],
  ['a length under that of a head', Buffer.of(0, 0, 0, 7), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['a length of nothing', Buffer.of(0, 0, 0, 0), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['an unknown kind', frame(99, 1), 'ERR_NODEPOLL_RPC_UNKNOWN_KIND'],
  ['the kind zero', frame(0, 1), 'ERR_NODEPOLL_RPC_UNKNOWN_KIND'],
  ['a kind of servers alone', frame(KINDS.reply, 1), 'ERR_NODEPOLL_RPC_UNKNOWN_KIND'],
  ['a call without its timeout', frame(KINDS.call, 1, 'xy'), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['a name beyond the end', frame(KINDS.call, 1, 'timeecho', 5), 'ERR_NODEPOLL_RPC_MALFORMED'],
  [
    'a name that is too long',
    frame(KINDS.call, 1, 'x'.repeat(300), 256),
    'ERR_NODEPOLL_RPC_MALFORMED',
  ],
  ['a cancel that goes on', frame(KINDS.cancel, 1, 'x'), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['a ping with a name', frame(KINDS.ping, 1, 'x', 1), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['a byte that must be zero', frame(KINDS.ping, 1), 'ERR_NODEPOLL_RPC_MALFORMED'],
]
bad.at(-1)![1][5] = 1

for (const [what, bytes, code] of bad) {
  test.serial(`${what} ends the connection by name, after the replies before it`, async (t) => {
    await leakCheck(t)
    const { server, codes } = await startTold(t)
    const peer = await rawClient(t, server)
    const before = callFrame(5, 'echo', '"before"')
    await peer.send(Buffer.concat([before, bytes, callFrame(6, 'echo', '"after"')]))
    const [reply, last, ...more] = await framesToEnd(peer)
    t.deepEqual(reply, { kind: KINDS.reply, id: 5, name: '', rest: '"before"' })
    t.deepEqual([last?.kind, last?.name, more], [KINDS.goAway, code, []])
    t.deepEqual(codes, [code])
    t.is(await clientOf(t, server).call('echo', 'still'), 'still')
  })
}

test.serial('a second call with the number of one under way ends the connection', async (t) => {
  await leakCheck(t)
  const { server, codes } = await startTold(t, {
    handler: (_, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)),
  })
  const peer = await rawClient(t, server)
  await peer.send(Buffer.concat([callFrame(5, 'wait', '0'), callFrame(5, 'wait', '0')]))
  t.is((await framesToEnd(peer)).at(-1)?.name, 'ERR_NODEPOLL_RPC_MALFORMED')
  t.deepEqual(codes, ['ERR_NODEPOLL_RPC_MALFORMED'])
  await eventually(() => server.callCount === 0, 'the end of the handler')
})

test.serial(
  'a request that the codec does not know fails its call and leaves the connection',
  async (t) => {
    await leakCheck(t)
    const { server, codes } = await startTold(t)
    const peer = await rawClient(t, server)
    await peer.send(Buffer.concat([callFrame(1, 'echo', '{'), callFrame(2, 'echo', '2')]))
    const [first, second] = [await readFrame(peer), await readFrame(peer)]
    t.deepEqual([first.kind, first.id, first.name], [KINDS.failure, 1, 'ERR_NODEPOLL_RPC_CODEC'])
    t.deepEqual([second.kind, second.id, second.rest], [KINDS.reply, 2, '2'])
    t.deepEqual(codes, [])
  },
)

test.serial(
  'a cancel of no call, and a pong that nobody has asked for, change nothing',
  async (t) => {
    await leakCheck(t)
    const { server, codes } = await startTold(t)
    const peer = await rawClient(t, server)
    await peer.send(Buffer.concat([frame(KINDS.cancel, 77), frame(KINDS.pong, 3)]))
    await peer.send(callFrame(2, 'echo', '2'))
    t.is((await readFrame(peer)).rest, '2')
    t.deepEqual(codes, [])
  },
)

test.serial('frames are the same however they are cut', async (t) => {
  await leakCheck(t)
  const { server } = await startTold(t)
  const peer = await rawClient(t, server)
  let id = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(6000), { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(30_000), { maxLength: 6 }),
      async (lengths, cuts) => {
        const calls = lengths.map((length) => ({ id: id++, text: `"${'x'.repeat(length)}"` }))
        const bytes = Buffer.concat(calls.map((call) => callFrame(call.id, 'echo', call.text)))
        const ends = [...cuts.map((cut) => cut % bytes.length), bytes.length]
        let at = 0
        for (const end of ends.toSorted((a, b) => a - b)) {
          if (end > at) await peer.send(bytes.subarray(at, end))
          at = end
        }
        for (const call of calls) {
          t.deepEqual(await readFrame(peer), {
            kind: KINDS.reply,
            id: call.id,
            name: '',
            rest: call.text,
          })
        }
      },
    ),
    { numRuns: 60 },
  )
})

test.serial('no bytes whatever end a server', async (t) => {
  await leakCheck(t)
  const { server } = await startTold(t)
  const kinds = fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 8)
  const some = fc.record({
    kind: kinds,
    id: fc.nat(3),
    rest: fc.uint8Array({ maxLength: 40 }),
    name: fc.nat(12),
    flip: fc.option(fc.nat(60)),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(some, { minLength: 1, maxLength: 6 }), async (frames) => {
      const peer = await rawClient(t, server)
      const bytes = Buffer.concat(frames.map((one) => frame(one.kind, one.id, one.rest, one.name)))
      for (const { flip } of frames) if (flip !== null && flip < bytes.length) bytes[flip]! ^= 0xff
      peer.end(bytes)
      await within(peer.closed, 'the end')
    }),
    { numRuns: 100 },
  )
  t.is(await clientOf(t, server).call('echo', 'still'), 'still')
  await eventually(() => server.connectionCount <= 1, 'the ends of connections')
})

test.serial(
  'a client is told of a server that is none of ours, and tries no end of times',
  async (t) => {
    await leakCheck(t)
    let accepted = 0
    const cases: [string, Uint8Array | string, string][] = [
      ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'ERR_NODEPOLL_RPC_PREFACE'],
      ['first', '220 smtp.example\r\n', 'ERR_NODEPOLL_RPC_PREFACE'],
      ['version', preface({ version: 9 }), 'ERR_NODEPOLL_RPC_VERSION'],
      ['codec', preface({ codec: 'other' }), 'ERR_NODEPOLL_RPC_UNKNOWN_CODEC'],
    ]
    for (const [what, hello, code] of cases) {
      const { port } = await startNetServer(t, (socket) => {
        accepted++
        if (what === 'first') socket.write(hello)
        else socket.once('data', () => socket.write(hello))
      })
      const client = clientOf(t, port, { connections: 1 })
      t.is(codeOf(await failureOf(client.call('m'))), code, what)
    }
    t.is(accepted, cases.length)
  },
)

test.serial('a server that says nothing is given up in time', async (t) => {
  await leakCheck(t)
  const { port } = await startNetServer(t, () => {})
  const client = clientOf(t, port, { connections: 1, connectTimeoutMs: 50 })
  t.is(codeOf(await failureOf(client.call('m'))), 'ERR_NODEPOLL_RPC_PREFACE')
})

const lies: [string, (id: number) => Buffer, string][] = [
  ['answers a call that is none', () => frame(KINDS.reply, 0xdead), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['calls', (id) => frame(KINDS.call, id, 'time'), 'ERR_NODEPOLL_RPC_UNKNOWN_KIND'],
  ['names a reply', (id) => frame(KINDS.reply, id, 'x', 1), 'ERR_NODEPOLL_RPC_MALFORMED'],
  ['sends a frame without an end', () => Buffer.alloc(4, 0xff), 'ERR_NODEPOLL_RPC_FRAME_LIMIT'],
  [
    'goes away for an error',
    () => frame(KINDS.goAway, 0, 'ERR_NODEPOLL_RPC_MALFORMEDwhy', 26),
    'ERR_NODEPOLL_RPC_MALFORMED',
  ],
]

for (const [what, answer, code] of lies) {
  test.serial(`a server that ${what} loses its connection, and calls say why`, async (t) => {
    await leakCheck(t)
    const { port } = await startNetServer(t, (socket) => {
      let bytes = Buffer.alloc(0)
      socket.once('data', () => socket.write(preface({ concurrency: 10 })))
      socket.on('data', (data) => {
        bytes = Buffer.concat([bytes, data])
        if (bytes.length < PREFACE_BYTES + 12) return
        const id = bytes.readUInt32BE(PREFACE_BYTES + 8)
        if (bytes.length < PREFACE_BYTES + 30) socket.write(answer(id))
      })
    })
    const client = clientOf(t, port, { connections: 1 })
    const error = await failureOf(client.call('m', 0))
    t.is(codeOf(error), 'ERR_NODEPOLL_RPC_CONNECTION_LOST')
    t.is(codeOf(error.cause), code)
  })
}

test.serial(
  'an answer to a call that has had one does not reach the next call in its place',
  async (t) => {
    await leakCheck(t)
    const { port } = await startNetServer(t, (socket) => {
      let first: number | undefined
      socket.once('data', () => {
        socket.write(preface({ concurrency: 1 }))
        socket.on('data', (data) => {
          first ??= data.readUInt32BE(8)
          socket.write(frame(KINDS.reply, first, '"of the first"'))
        })
      })
    })
    const client = clientOf(t, port, { connections: 1 })
    t.is(await client.call('m'), 'of the first')
    const error = await failureOf(client.call('m'))
    t.is(codeOf(error), 'ERR_NODEPOLL_RPC_CONNECTION_LOST')
    t.is(codeOf(error.cause), 'ERR_NODEPOLL_RPC_MALFORMED')
  },
)

test.serial(
  'a reply that the codec does not know fails its call and leaves the connection',
  async (t) => {
    await leakCheck(t)
    const { port } = await startNetServer(t, (socket) => {
      socket.once('data', () => {
        socket.write(preface({ concurrency: 10 }))
        socket.on('data', (data) => {
          for (let at = 0; at < data.length; at += 4 + data.readUInt32BE(at)) {
            socket.write(
              frame(KINDS.reply, data.readUInt32BE(at + 8), data.subarray(at + 17, at + 18)),
            )
          }
        })
      })
    })
    const client = clientOf(t, port, { connections: 1 })
    // Of requests that are valid it sends a part back.
    t.is(codeOf(await failureOf(client.call('m', '{}'))), 'ERR_NODEPOLL_RPC_CODEC')
    t.is(await client.call('m', 7), 7)
    t.is(client.connectionCount, 1)
  },
)
