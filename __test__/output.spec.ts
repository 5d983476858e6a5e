import { setTimeout as later } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { type Connection, stats } from 'nodepoll'

import { runChild } from './helpers/child.ts'
import { codeOf, eventually, failureOf, within } from './helpers/deadline.ts'
import { collectGarbage, leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, type Pair, temporaryPath } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const KIB = 1 << 10
const MIB = 1 << 20

/** Numbers below `n`, the same ones in each run. */
function randomNumbers(seed: number): (n: number) => number {
  let state = seed * 2_654_435_761 + 1
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** Memory that can be made shorter, where there is such. The type declarations do not know it. */
function resizable(bytes: number): ArrayBuffer {
  const Resizable = ArrayBuffer as new (
    n: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer
  return new Resizable(bytes, { maxByteLength: 2 * bytes })
}

function openPairs(t: ExecutionContext, count: number): Promise<Pair[]> {
  return Promise.all(Array.from({ length: count }, () => openPair(t)))
}

/** Writes until the kernel takes no more. */
async function block(connection: Connection): Promise<void> {
  const { writer } = connection
  do {
    connection.write(Buffer.alloc(256 * KIB, 1))
    await Promise.race([writer.drained(), later(20)])
  } while (writer.pendingLength === 0)
}

test.serial('H39: writes of random sizes to peers that read at random are exact', async (t) => {
  await leakCheck(t)
  const total = 8 * MIB
  const pairs = await openPairs(t, 16)
  const one = async ({ connection, peer }: Pair, seed: number): Promise<void> => {
    const random = randomNumbers(seed)
    const expected = new Stream(seed)
    let isEqual = true
    peer.socket.removeAllListeners('data').on('data', (bytes: Buffer) => {
      isEqual &&= expected.matches(bytes)
      if (random(4) > 0) return
      peer.socket.pause()
      setTimeout(() => peer.socket.resume(), random(3))
    })
    const sent = new Stream(seed)
    while (sent.position < total) {
      const size = [1, 100, 10_000, 300_000][random(4)] as number
      const isPending = !connection.write(
        sent.take(Math.min(1 + random(size), total - sent.position)),
      )
      if (isPending) await connection.writer.drained()
      else if (random(8) === 0) await later(0)
    }
    await connection.writer.drained()
    await eventually(() => expected.position === total, 'all bytes')
    t.true(isEqual)
  }
  await Promise.all(pairs.map((pair, seed) => one(pair, seed)))
})

test.serial('H72: connections that fill and drain again and again never get stuck', async (t) => {
  await leakCheck(t)
  const pairs = await openPairs(t, 25)
  await Promise.all(
    pairs.map(async ({ connection, peer }) => {
      for (let round = 0; round < 20; round++) {
        peer.socket.pause()
        await block(connection)
        peer.socket.resume()
        await within(connection.writer.drained(), 'all is taken', 25_000)
        t.is(connection.writer.pendingLength, 0)
      }
    }),
  )
})

test.serial('H42: resets while output is blocked: one outcome each', async (t) => {
  await leakCheck(t)
  for (let round = 0; round < 10; round++) {
    const pairs = await openPairs(t, 20)
    await Promise.all(
      pairs.map(async ({ connection, peer }, index) => {
        let callbacks = 0
        connection.addCloseCallback(() => void callbacks++)
        peer.socket.pause()
        await block(connection)
        if (index % 2 === 0) connection.pause()
        const drained = failureOf(connection.writer.drained())
        peer.reset()
        const { by, error } = await within(connection.closed, 'the end')
        t.is(by, 'error')
        t.true(['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? ''))
        t.is(await within(drained, 'drained() rejects'), error as Error)
        await eventually(() => callbacks === 1, 'the close callback')
      }),
    )
  }
})

test.serial('H35: connections that have sent much hold nothing afterwards', async (t) => {
  await leakCheck(t)
  const pairs = await openPairs(t, 200)
  await Promise.all(
    pairs.map(async ({ connection, peer }, seed) => {
      connection.write(new Stream(seed).take(MIB))
      t.true(new Stream(seed).matches(await peer.read(MIB)))
    }),
  )
  await eventually(
    () => stats().arenaBytesLeased <= MIB,
    () => `${stats().arenaBytesLeased} held`,
  )
  t.is(pairs.filter(({ connection }) => connection.isActive).length, 200)
})

test.serial('H90: what becomes of the bytes after writeBinary() does not matter', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  await block(connection)
  const before = connection.bytesWritten + connection.writer.pendingLength
  const expected = Buffer.alloc(MIB, 'a')
  const makers: (() => Uint8Array)[] = [
    () => Buffer.from(expected),
    () => new Uint8Array(new SharedArrayBuffer(MIB)).fill(97),
    () => new Uint8Array(resizable(MIB)).fill(97),
  ]
  const spoilers: ((bytes: Uint8Array) => void)[] = [
    (bytes) => void bytes.fill(98),
    (bytes) => {
      const { buffer } = bytes
      if (buffer instanceof ArrayBuffer) structuredClone(buffer, { transfer: [buffer] })
    },
    (bytes) => {
      const { buffer } = bytes as unknown as { buffer: { resize?(n: number): void } }
      if ((buffer as { resizable?: boolean }).resizable === true) buffer.resize?.(0)
    },
  ]
  let written = 0
  for (const make of makers) {
    for (const spoil of spoilers) {
      const bytes = make()
      connection.write(bytes)
      spoil(bytes)
      written++
    }
  }
  peer.socket.resume()
  await peer.read(before)
  for (let n = 0; n < written; n++) t.true((await peer.read(MIB)).equals(expected))
})

test.serial('H90: a destroyed connection lets go of 1,000 writes that waited', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  await block(connection)
  const references = Array.from({ length: 1_000 }, () => {
    const bytes = Buffer.alloc(20 * KIB)
    connection.write(bytes)
    return new WeakRef(bytes)
  })
  connection.destroy()
  await connection.closed
  await eventually(() => {
    collectGarbage()
    return references.every((reference) => reference.deref() === undefined)
  }, 'all are collected')
  t.is(references.length, 1_000)
})

test.serial(
  'H79: what goes the short way and what the thread sends keep their order',
  async (t) => {
    const { code, stdout, stderr } = await runChild(
      t,
      `
    import { connect } from 'node:net'
    import { once } from 'node:events'
    import { setImmediate as turn, setTimeout as later } from 'node:timers/promises'
    import { configure, serve, stats } from 'nodepoll'
    configure({ host: 'thread', pollers: 2 })
    const server = await serve({ host: '127.0.0.1' })
    const total = 8 << 20
    const peers = await Promise.all(Array.from({ length: 4 }, async () => {
      const peer = connect(server.address.port, '127.0.0.1')
      await once(peer, 'connect')
      let count = 0
      peer.on('data', (bytes) => {
        for (let at = 0; at < bytes.length; at++, count++) {
          if (bytes[at] !== ((count * 31) >>> 4 & 0xff)) throw new Error('wrong at ' + count)
        }
        if (count === total) peer.destroy()
      })
      return peer
    }))
    while (server.loop.connectionCount < 4) await later(1)
    const ended = Promise.all(peers.map((peer) => once(peer, 'close')))
    const before = stats()
    await Promise.all([...server.loop.connections()].map(async (connection, seed) => {
      let at = 0
      let step = seed
      while (at < total) {
        step = Math.imul(step, 1664525) + 1013904223 >>> 0
        const size = Math.min(total - at, 1 + step % [7, 900, 40000, 500000][step >>> 30])
        const bytes = Buffer.allocUnsafe(size)
        for (let n = 0; n < size; n++, at++) bytes[n] = (at * 31) >>> 4 & 0xff
        if (!connection.write(bytes)) await connection.writer.drained()
        else if (step % 3 === 0) await turn()
      }
    }))
    await ended
    const drives = stats().drives - before.drives
    console.log(drives > 10 && stats().turns > before.turns + 10 ? true : [drives, stats()])
    await server.shutdown()
    `,
    )
    t.is(stdout.trim(), 'true', stderr)
    t.is(code, 0, stderr)
  },
)

for (const size of [1, 16 * KIB, MIB]) {
  test.serial(
    `H37: the iterator gives the last ${size} bytes that came with the end`,
    async (t) => {
      await leakCheck(t)
      const rounds = size === MIB ? 10 : 100
      for (let round = 0; round < rounds; round++) {
        const { connection, peer } = await openPair(t)
        const expected = new Stream(round)
        const reading = (async () => {
          let isEqual = true
          for await (const chunk of connection.reader) isEqual &&= expected.matches(chunk)
          return isEqual
        })()
        peer.socket.end(new Stream(round).take(size))
        t.true(await within(reading, 'the end'))
        t.is(expected.position, size)
        await connection.close()
      }
    },
  )
}

for (const kind of ['TCP', 'unix']) {
  test.serial(
    `H113: ${kind} peers that send and close before they are looked at are read`,
    async (t) => {
      await leakCheck(t)
      let bytes = 0
      let ends = 0
      const { server, peer } = await openPair(t, {
        ...(kind === 'unix' ? { path: temporaryPath(t) } : {}),
        onRequest: ({ input }) => void (bytes += input.readString(input.length).length),
        onDisconnect: () => void ends++,
      })
      peer.socket.end('12345')
      const count = 1000
      for (let batch = 0; batch < count; batch += 100) {
        await Promise.all(
          Array.from({ length: 100 }, async () => {
            const short = await Peer.connect(t, server.address)
            short.socket.end('12345')
            await short.closed
          }),
        )
      }
      await eventually(
        () => ends === count + 1,
        () => `${ends} ends`,
      )
      t.is(bytes, 5 * (count + 1))
    },
  )
}
