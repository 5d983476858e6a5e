import test from 'ava'

import { runChild } from './helpers/child.ts'

// Each program has a runtime of its own, as `memoryMax` is chosen before the first connection.

/** Source: servers, peers of node:net in the same process, and what they have in common. */
const common = `
  import { connect } from 'node:net'
  import { once } from 'node:events'
  import { setTimeout as later } from 'node:timers/promises'
  import { configure, dial, serve, stats } from 'nodepoll'
  const KIB = 1024, MIB = 1 << 20
  async function peerOf(server) {
    const socket = connect(server.address.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.on('error', () => {})
    return socket
  }
  async function until(condition, what) {
    for (let n = 0; !condition(); n++) {
      if (n > 1000) throw new Error('in vain: ' + what + ' ' + JSON.stringify(stats()))
      await later(10)
    }
  }
  /** Waits until memory has run out and nothing more is read. */
  async function memoryRunsOut() {
    for (let before = -1; before !== stats().bytesRead || stats().pauses.memory === 0;) {
      before = stats().bytesRead
      await later(100)
    }
  }
  /** Writes until no memory is left for output, and the kernel takes no more of it. How much. */
  async function jam(connections) {
    const written = connections.map(() => 0)
    for (let before = -1; before !== stats().bytesWritten;) {
      before = stats().bytesWritten
      for (let n = 0; ; n = (n + 1) % written.length) {
        try {
          connections[n].write(fill(60 * KIB, 7))
          written[n] += 60 * KIB
        } catch (error) {
          if (error.code !== 'ERR_NODEPOLL_WRITE_LIMIT') throw error
          break
        }
      }
      await later(100)
    }
    return written
  }
  function fill(bytes, value) { return Buffer.alloc(bytes, value) }
`

/** What is run, and what it prints. */
const programs: Record<string, readonly [source: string, output: string]> = {
  'H114: large reads that wait at memoryMax all get on, in turn': [
    `
    configure({ memoryMax: 16 * MIB, HOST })
    let done = 0
    const server = await serve({ host: '127.0.0.1', async onRequest({ reader, writer }) {
      const bytes = await reader.next(4 * MIB)
      if (!bytes.equals(fill(4 * MIB, bytes[0]))) throw new Error('wrong bytes')
      writer.writeByte(bytes[0])
      writer.flush()
      done++
    } })
    const peers = await Promise.all(Array.from({ length: 8 }, () => peerOf(server)))
    // Most of each message first, from all of them.
    peers.forEach((peer, n) => peer.write(fill(4 * MIB - 1000, n)))
    await later(200)
    peers.forEach((peer, n) => peer.write(fill(1000, n)))
    await Promise.all(peers.map(async (peer, n) => {
      const [reply] = await once(peer, 'data')
      if (reply[0] !== n) throw new Error('wrong reply')
    }))
    if (stats().arenaBytes > 20 * MIB + 8192) throw new Error('too much memory')
    console.log(done)
    peers.forEach((peer) => peer.destroy())
    await server.shutdown()
  `,
    '8',
  ],
  'H114: many small reads that wait at memoryMax all get on': [
    `
    configure({ memoryMax: 4 * MIB, HOST })
    const size = 60 * KIB
    let done = 0
    const server = await serve({ host: '127.0.0.1', async onRequest({ reader, writer }) {
      await reader.wait(size)
      const bytes = await reader.readBinary(size)
      if (!bytes.equals(fill(size, bytes[0]))) throw new Error('wrong bytes')
      writer.writeByte(bytes[0])
      writer.flush()
      done++
    } })
    const peers = await Promise.all(Array.from({ length: 200 }, () => peerOf(server)))
    peers.forEach((peer, n) => peer.write(fill(30 * KIB, n)))
    await memoryRunsOut()
    const replies = Promise.all(peers.map(async (peer, n) => {
      const [reply] = await once(peer, 'data')
      if (reply[0] !== n % 256) throw new Error('wrong reply')
    }))
    // Piece by piece, so that what memory there is goes to all of them and suffices for none.
    for (let piece = 0; piece < 30; piece++) {
      peers.forEach((peer, n) => peer.write(fill(KIB, n)))
      await later(5)
    }
    await replies
    console.log(done)
    peers.forEach((peer) => peer.destroy())
    await server.shutdown()
  `,
    '200',
  ],
  'H114: at memoryMax connections end, and all goes on when memory comes back': [
    `
    configure({ memoryMax: 4 * MIB, HOST })
    const kept = []
    const reasons = []
    let echoed = 0
    const server = await serve({ host: '127.0.0.1', readBufferMax: 16 * MIB,
      onConnect(connection) {
        connection.addCloseCallback((_, reason) => reasons.push(reason.error?.code ?? reason.by))
      },
      onRequest(connection) {
        if (connection.input.peekByte() === 7) return // hoards
        echoed += connection.input.length
        connection.input.skip(connection.input.length)
      },
    })
    const hog = await peerOf(server)
    hog.write(fill(8 * MIB, 7))
    await memoryRunsOut()
    const first = await peerOf(server)
    const second = await peerOf(server)
    const third = await peerOf(server)
    for (const peer of [first, second, third]) peer.write(fill(10, 1))
    await later(100)
    if (echoed !== 0) throw new Error('there was memory')
    first.resetAndDestroy()
    await until(() => reasons.includes('ECONNRESET'), 'a reset is told')
    const connections = [...server.loop.connections()]
    connections.at(-2).destroy()
    await until(() => reasons.includes('local'), 'destroy() works')
    // One node at a time, which the hog would take each time if it came first each time.
    for (let node = 0; node < 10 && echoed === 0; node++) {
      connections[0].input.skip(64 * KIB)
      connections[0].input.release()
      await later(30)
    }
    await until(() => echoed === 10, 'another one goes on without an edge')
    console.log(reasons.join(), stats().arenaBytes === 4 * MIB)
    // What the hog has sent meanwhile is hoarded again.
    await server.shutdown({ deadlineMs: 0, force: true }).catch(() => {})
    await server.finished
  `,
    'ECONNRESET,local true',
  ],
  'H114: peers that read nothing do not keep the server from reading others': [
    `
    configure({ memoryMax: 4 * MIB, HOST })
    let got = 0
    const server = await serve({ host: '127.0.0.1', writeBufferMax: 8 * MIB,
      onRequest({ input }) {
        got += input.length
        input.skip(input.length)
      } })
    const idle = await Promise.all([peerOf(server), peerOf(server)])
    for (const peer of idle) peer.pause()
    await until(() => server.loop.connectionCount === idle.length, 'both')
    await jam([...server.loop.connections()])
    const other = await peerOf(server)
    other.write(fill(MIB, 1))
    await until(() => got === MIB, 'what another peer sends')
    console.log(got)
    for (const peer of [...idle, other]) peer.destroy()
    await server.shutdown({ deadlineMs: 0, force: true }).catch(() => {})
  `,
    String(1 << 20),
  ],
  'H114: beginnings of messages do not hold the memory that is left to read with': [
    `
    configure({ memoryMax: 4 * MIB, HOST })
    let got = 0
    const server = await serve({ host: '127.0.0.1', writeBufferMax: 8 * MIB,
      onRequest({ input }) {
        if (input.peekByte() === 9) return // waits for the rest
        got += input.length
        input.skip(input.length)
      } })
    const idle = await Promise.all([peerOf(server), peerOf(server)])
    for (const peer of idle) peer.pause()
    await until(() => server.loop.connectionCount === idle.length, 'both')
    await jam([...server.loop.connections()])
    const other = await peerOf(server)
    const slow = []
    for (let n = 1; n <= 20; n++) {
      // Each beginning lies in a node of its own, or nearly so.
      slow.push(await peerOf(server))
      slow.at(-1).write(fill(1, 9))
      other.write(fill(60 * KIB, 1))
      await until(() => got === n * 60 * KIB, 'what another peer sends')
    }
    console.log(got)
    for (const peer of [...idle, ...slow, other]) peer.destroy()
    await server.shutdown({ deadlineMs: 0, force: true }).catch(() => {})
  `,
    String(20 * 60 * 1024),
  ],
  'H114: output of both ends in one process gets through though it has had all memory': [
    `
    configure({ memoryMax: 4 * MIB, HOST })
    const got = [0, 0]
    const counting = (side) => ({ input }) => {
      for (const chunk of input.chunks()) {
        if (!chunk.equals(fill(chunk.length, 7))) throw new Error('wrong bytes')
      }
      got[side] += input.length
      input.skip(input.length)
    }
    const options = { readBufferMax: 8 * MIB, writeBufferMax: 8 * MIB }
    const server = await serve({ host: '127.0.0.1', ...options, onRequest: counting(0) })
    const dialling = { host: '127.0.0.1', port: server.address.port, ...options }
    const client = await dial({ ...dialling, onRequest: counting(1) })
    await until(() => server.loop.connectionCount === 1, 'the other end')
    const ends = [client, ...server.loop.connections()]
    for (const end of ends) end.pause()
    const written = await jam(ends)
    for (const end of ends) end.resume()
    await until(() => got[0] === written[0] && got[1] === written[1], 'all bytes')
    console.log(stats().arenaBytes === 4 * MIB)
    await client.close()
    await server.shutdown()
  `,
    'true',
  ],
  'H105: one byte left unread by each of many connections holds few nodes': [
    `
    configure({ HOST })
    let left = 0
    const server = await serve({ host: '127.0.0.1', onRequest({ input }) {
      if (input.length < 8 * KIB) return
      input.skip(8 * KIB - 1)
      left++
    } })
    const peers = []
    for (let n = 0; n < 1500; n++) {
      const peer = await peerOf(server)
      peers.push(peer)
      peer.write(fill(8 * KIB, n))
      if (n % 50 === 49) await until(() => left === n + 1, 'the bytes')
    }
    const held = stats().arenaBytesLeased
    if (held >= 3 * MIB) throw new Error('held: ' + held)
    console.log(left)
    let isEqual = true
    ;[...server.loop.connections()].forEach(({ input }, n) => {
      isEqual &&= input.readByte() === n % 256
    })
    console.log(isEqual)
    for (const peer of peers) peer.destroy()
    await server.shutdown()
  `,
    '1500\ntrue',
  ],
}

for (const [name, [program, output]] of Object.entries(programs)) {
  for (const host of ['thread', 'inline']) {
    test.serial(`${name} (${host})`, async (t) => {
      const source = common + program.replace('HOST', `host: '${host}', pollers: 1`)
      const { code, stdout, stderr } = await runChild(t, source)
      t.is(stdout.trim(), output, stderr)
      t.is(code, 0, stderr)
    })
  }
}
