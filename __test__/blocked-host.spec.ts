import { createHash } from 'node:crypto'
import { once } from 'node:events'

import test from 'ava'

import { startChild } from './helpers/child.ts'
import { within } from './helpers/deadline.ts'
import { Peer } from './helpers/peer.ts'
import { Stream } from './helpers/stream.ts'

const MIB = 1 << 20
const PEERS = 50
const BYTES = 2 * MIB
const BLOCKED_MS = 2_000

test('H51, H58, H114: every byte of 50 peers arrives after a block of 2 s', async (t) => {
  const child = startChild(
    t,
    `
    import { createHash } from 'node:crypto'
    import { configure, serve, stats } from 'nodepoll'
    configure({ memoryMax: 16 << 20 })
    let blocked = false
    let most = 0
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onConnect: () => createHash('sha256'),
      onRequest({ input }, hash) {
        if (!blocked && server.loop.connectionCount === ${PEERS}) {
          blocked = true
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${BLOCKED_MS})
        }
        most = Math.max(most, stats().arenaBytes)
        hash.update(input.next(input.length))
      },
      onDisconnect(connection, hash) {
        // What has come is handled before the connection ends: the answer waits for it.
        connection.addCloseCallback(() => console.log('sum', hash.digest('hex')))
      },
    })
    let ended = 0
    process.on('SIGUSR2', async () => {
      await server.shutdown()
      const { pauses, bytesRead } = stats()
      console.log('blocked', blocked, 'arena', most, 'bytes', bytesRead)
      console.log('pauses', pauses.events + pauses.memory, JSON.stringify(pauses))
      console.log('resident', process.memoryUsage().rss)
    })
    setInterval(() => {}, 1000).unref()
    console.log('port', server.address.port)
    `,
  )
  const [, port] = await child.line(/port (\d+)/)
  const address = { family: 'IPv4', address: '127.0.0.1', port: Number(port) } as const
  const peers = await Promise.all(Array.from({ length: PEERS }, () => Peer.connect(t, address)))
  const expected: string[] = []
  await within(
    Promise.all(
      peers.map(async ({ socket }, seed) => {
        const bytes = new Stream(seed).take(BYTES)
        expected.push(createHash('sha256').update(bytes).digest('hex'))
        for (let at = 0; at < BYTES; at += 64 << 10) {
          if (!socket.write(bytes.subarray(at, at + (64 << 10)))) await once(socket, 'drain')
        }
        socket.end()
        await once(socket, 'close')
      }),
    ),
    'all that the peers send',
    25_000,
  )
  child.process.kill('SIGUSR2')
  const { code, signal, stdout, stderr } = await child.end()
  t.deepEqual([code, signal, stderr], [0, null, ''])
  const sums = [...stdout.matchAll(/^sum (\w+)$/gm)].map(([, sum]) => sum as string)
  t.deepEqual(sums.toSorted(), expected.toSorted())
  const [, blocked, arena, bytes] =
    /^blocked (\w+) arena (\d+) bytes (\d+)$/m.exec(stdout) ?? ([] as string[])
  t.is(blocked, 'true')
  t.true(Number(arena) <= 16 * MIB, `${arena} bytes of arena`)
  t.is(Number(bytes), PEERS * BYTES)
  const [, pauses] = /^pauses (\d+) /m.exec(stdout) ?? ([] as string[])
  t.true(Number(pauses) > 0, stdout)
  const [, resident] = /^resident (\d+)$/m.exec(stdout) ?? ([] as string[])
  t.true(Number(resident) < 256 * MIB, `${resident} bytes resident`)
})

test('H78: clients that connect while JavaScript is blocked are served afterwards', async (t) => {
  const child = startChild(
    t,
    `
    import { serve } from 'nodepoll'
    const server = await serve({
      host: '127.0.0.1',
      port: 0,
      onRequest({ input, writer }) {
        writer.append(input).flush()
      },
    })
    process.on('SIGUSR2', () => {
      setImmediate(() => {
        console.log('blocking')
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
      })
    })
    process.on('SIGTERM', () => server.shutdown())
    console.log('port', server.address.port)
    `,
  )
  const [, port] = await child.line(/port (\d+)/)
  const address = { family: 'IPv4', address: '127.0.0.1', port: Number(port) } as const
  child.process.kill('SIGUSR2')
  await child.line(/blocking/)
  const echoes = Array.from({ length: 300 }, async (_, seed) => {
    const peer = await Peer.connect(t, address)
    peer.socket.write(new Stream(seed).take(1_000))
    t.true(new Stream(seed).matches(await peer.read(1_000)))
    peer.end()
    await peer.closed
  })
  await within(Promise.all(echoes), 'all clients')
  child.process.kill('SIGTERM')
  const { code, stderr } = await child.end()
  t.deepEqual([code, stderr], [0, ''])
})
