import test from 'ava'

import { runChild } from './helpers/child.ts'

/** Runs a program with a host that is chosen, and shows what it prints. */
const hosts = ['thread', 'inline', 'auto'] as const

for (const host of hosts) {
  test.serial(
    `H59: one request at a time, with pauses, never waits for long: ${host}`,
    async (t) => {
      const { stdout, stderr } = await runChild(
        t,
        `
      import { connect } from 'node:net'
      import { once } from 'node:events'
      import { configure, serve } from 'nodepoll'
      configure({ host: '${host}' })
      const server = await serve({
        host: '127.0.0.1',
        onRequest: ({ input, writer }) => void writer.append(input).flush(),
      })
      const peer = connect({ port: server.address.port, host: '127.0.0.1', noDelay: true })
      await once(peer, 'connect')
      let longest = 0
      const until = performance.now() + 3000
      let seed = 1
      let rounds = 0
      while (performance.now() < until) {
        seed = Math.imul(seed, 1664525) + 1013904223 >>> 0
        const pause = performance.now() + (seed % 200) / 1000
        while (performance.now() < pause);
        const began = performance.now()
        peer.write('x')
        await once(peer, 'data')
        longest = Math.max(longest, performance.now() - began)
        rounds++
      }
      console.log(rounds > 1000, longest < 1000 ? 'ok' : longest)
      peer.destroy()
      await server.shutdown()
      `,
      )
      t.is(stdout.trim(), 'true ok', stderr)
    },
  )

  test.serial(`H60: commands at any time after the last event are taken: ${host}`, async (t) => {
    const { stdout, stderr } = await runChild(
      t,
      `
      import { configure, dial, serve, stats } from 'nodepoll'
      configure({ host: '${host}' })
      let accepted
      const server = await serve({
        host: '127.0.0.1',
        onConnect: (connection) => void (accepted = connection),
      })
      const client = await dial({ host: '127.0.0.1', port: server.address.port })
      while (accepted === undefined) await new Promise(setImmediate)
      let seed = 7
      let longest = 0
      const rounds = 20_000
      for (let round = 0; round < rounds; round++) {
        seed = Math.imul(seed, 1664525) + 1013904223 >>> 0
        const pause = performance.now() + (seed % 100) / 1000
        while (performance.now() < pause);
        const began = performance.now()
        // To and fro in turn, so that each write is a command after an event.
        const [from, to] = round % 2 === 0 ? [client, accepted] : [accepted, client]
        from.write('y')
        await to.reader.skip(1)
        to.reader.release()
        longest = Math.max(longest, performance.now() - began)
      }
      console.log(longest < 1000 ? 'ok' : longest, stats().wakeupsOfPoller <= 2 * rounds)
      await client.close()
      await server.shutdown()
      `,
    )
    t.is(stdout.trim(), 'ok true', stderr)
  })
}

test.serial(
  'H85, H89: 300,000 writes in synchronous loops while peers send: all of it, in order',
  async (t) => {
    const { stdout, stderr } = await runChild(
      t,
      `
      import { connect } from 'node:net'
      import { configure, serve, stats } from 'nodepoll'
      configure({ host: 'thread', pollers: 2 })
      const peers = 20
      const rounds = 3
      const writes = 5_000
      const connections = []
      const received = []
      const server = await serve({
        host: '127.0.0.1',
        onConnect: (connection) => void connections.push(connection),
        onRequest(connection) {
          const { input } = connection
          while (input.length >= 4) {
            const expected = received[connections.indexOf(connection)] ??= { next: 0 }
            if (input.readUInt32BE() !== expected.next++) throw new Error('out of order')
          }
        },
        onError(error) { console.log(error); process.exit(1) },
      })
      const sockets = []
      let wrong = 0
      for (let n = 0; n < peers; n++) {
        const socket = connect(server.address.port, '127.0.0.1')
        let next = 0
        let rest = Buffer.alloc(0)
        socket.on('data', (bytes) => {
          rest = Buffer.concat([rest, bytes])
          let at = 0
          for (; at + 4 <= rest.length; at += 4) if (rest.readUInt32BE(at) !== next++) wrong++
          rest = rest.subarray(at)
          socket.next = next
        })
        sockets.push(socket)
      }
      while (connections.length < peers) await new Promise(setImmediate)
      const total = rounds * writes
      const sent = Buffer.alloc(4 * writes)
      for (let round = 0; round < rounds; round++) {
        for (const socket of sockets) {
          for (let n = 0; n < writes; n++) sent.writeUInt32BE(round * writes + n, 4 * n)
          socket.write(Buffer.from(sent))
        }
        // Each flush is a command of its own: they alternate between connections.
        let n = round * writes
        while (n < (round + 1) * writes) {
          try {
            for (const connection of connections) {
              if (connection.at > n) continue
              connection.writer.writeUInt32BE(n)
              if (connection.writer.flush() !== undefined) connection.at = n + 1
            }
            n++
          } catch (error) {
            if (error.code !== 'ERR_NODEPOLL_WRITE_LIMIT') throw error
            // What was written is still there: it leaves with the next flush.
            const refused = connections.find(({ writer }) => writer.mallocLength > 0)
            refused.writer.mallocAck(0)
            await new Promise(setImmediate)
          }
        }
      }
      const isDone = () =>
        sockets.every(({ next }) => next === total) && received.every(({ next }) => next === total)
      while (!isDone()) await new Promise((done) => setTimeout(done, 5))
      console.log(wrong, stats().events > 0)
      for (const socket of sockets) socket.destroy()
      await server.shutdown()
      `,
    )
    t.is(stdout.trim(), '0 true', stderr)
  },
)

test.serial('H50: nothing needs external buffers, and reading piles up no memory', async (t) => {
  const { stdout, stderr } = await runChild(
    t,
    `
    import { LinkBuffer } from 'nodepoll'
    const buffer = new LinkBuffer()
    const bytes = Buffer.alloc(16384, 1)
    const before = process.memoryUsage.rss()
    // Without a turn of the event loop, so that no finalizer runs.
    for (let round = 0; round < 100_000; round++) {
      buffer.writeBinary(bytes).flush()
      if (buffer.next(16384)[round % 16384] !== 1) throw new Error('wrong')
      buffer.release()
    }
    const grown = process.memoryUsage.rss() - before
    console.log(grown < 64 << 20 ? 'ok' : grown)
    `,
  )
  t.is(stdout.trim(), 'ok', stderr)
})
