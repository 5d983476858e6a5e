import { connect, type Socket } from 'node:net'
import { setTimeout as later } from 'node:timers/promises'

import test from 'ava'
import { type Connection, lengthPrefixed, type Server, stats } from 'nodepoll'

import { codeOf, eventually, turn, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { portOf, startServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const MIB = 1 << 20

/** A socket without manners: it may be reset at any time. */
function intruder({ address }: Server): Socket {
  const socket = connect(portOf(address), '127.0.0.1')
  socket.on('error', () => {})
  return socket
}

async function ping({ address }: Server, message: Buffer): Promise<boolean> {
  const peer = new Peer(connect(portOf(address), '127.0.0.1'))
  await peer.send(message)
  const reply = await within(peer.read(message.length), 'an echo in spite of all')
  peer.end()
  return reply.equals(message)
}

test.serial(
  'garbage ends the connection that sent it, with the reason, and no other',
  async (t) => {
    await leakCheck(t)
    const frames = lengthPrefixed({ limit: 1000 })
    const reasons: (string | undefined)[] = []
    const server = await startServer(t, {
      onRequest: frames.onFrame((frame, { writer }) => frames.write(writer, frame)),
      onConnect(connection) {
        connection.addCloseCallback((_, { by, error }) => {
          if (by === 'error') reasons.push(codeOf(error))
        })
      },
      onError: () => {},
    })
    const source = new Stream(666)
    const count = 200
    const good = Buffer.from('\0\0\0\x05hello')
    for (let round = 0; round < count; round++) {
      const socket = intruder(server)
      // As a length it is over the limit.
      socket.write(Buffer.concat([Buffer.of(0xff), source.take(3 + (round % 3000))]))
      socket.resume()
      if (round % 20 === 0) t.true(await ping(server, good))
    }
    await eventually(
      () => reasons.length === count,
      () => `${reasons.length} have ended`,
    )
    t.true(reasons.every((code) => code === 'ERR_NODEPOLL_FRAME_LIMIT'))
    await eventually(() => server.loop.connectionCount === 0, 'nobody is left')
  },
)

test.serial('peers that send a byte now and then are left by a deadline', async (t) => {
  await leakCheck(t)
  const ends: string[] = []
  const server = await startServer(t, {
    // Neither the idle timeout nor that of a single read would find them.
    idleTimeoutMs: 5_000,
    async onRequest(connection) {
      connection.setReadDeadline(Date.now() + 300)
      try {
        const line = await connection.reader.until(10)
        connection.writer.writeBinary(line).flush()
      } catch (error) {
        ends.push(String(codeOf(error)))
        connection.destroy()
      }
    },
  })
  const sockets = Array.from({ length: 100 }, () => intruder(server))
  let isOver = false
  const dripping = (async () => {
    for (;;) {
      for (const socket of sockets) socket.write('x')
      await later(20)
      if (isOver) return
    }
  })()
  t.true(await ping(server, Buffer.from('in time\n')))
  await eventually(
    () => ends.length === sockets.length,
    () => `${ends.length} were left`,
  )
  t.true(ends.every((code) => code === 'ERR_NODEPOLL_READ_TIMEOUT'))
  isOver = true
  await dripping
  for (const socket of sockets) socket.destroy()
})

test.serial('a flood at a server that does not read stays where it is', async (t) => {
  await leakCheck(t)
  const deaf: Connection[] = []
  const server = await startServer(t, {
    readBufferMax: 64 << 10,
    onRequest(connection) {
      const { input, writer } = connection
      if (input.peekByte() === 0x66) deaf.push(connection)
      else writer.append(input).flush()
    },
  })
  const before = stats().arenaBytes
  const sockets = Array.from({ length: 50 }, () => {
    const socket = intruder(server)
    socket.write(Buffer.alloc(4 * MIB, 'f'))
    return socket
  })
  await eventually(() => new Set(deaf).size === 50, 'all have sent something')
  for (let round = 0; round < 10; round++) t.true(await ping(server, Buffer.from(`ping ${round}`)))
  const unread = deaf.reduce((sum, { input }) => sum + input.length, 0)
  t.true(unread <= 50 * 4 * MIB)
  t.true([...new Set(deaf)].every(({ input }) => input.length <= 64 << 10))
  t.true(stats().arenaBytes - before <= 16 * MIB, `${stats().arenaBytes - before} bytes`)
  for (const socket of sockets) socket.resetAndDestroy()
  await eventually(() => server.loop.connectionCount === 0, 'they have gone')
})

/** When the peer resets, seen from the server. */
const moments = [
  'before it is accepted',
  'in onPrepare',
  'while onConnect is pending',
  'while onRequest is pending',
  'while output is queued',
  'while it is closing',
  'after our FIN',
  'while it is paused',
] as const

for (const moment of moments) {
  test.serial(`H42, H76: a reset ${moment} ends 100 connections once each`, async (t) => {
    await leakCheck(t)
    const sockets = new Map<number, Socket>()
    let opens = 0
    let ends = 0
    const reset = (connection: Connection): Promise<void> => {
      const { remoteAddress: at } = connection
      if (at.family !== 'unix') sockets.get(at.port)?.resetAndDestroy()
      return later(5)
    }
    const server = await startServer(t, {
      onPrepare(connection) {
        opens++
        connection.addCloseCallback(() => void ends++)
        if (moment === 'in onPrepare') void reset(connection)
      },
      onConnect: async (connection) => {
        if (moment === 'while onConnect is pending') await reset(connection)
      },
      async onRequest(connection) {
        const { input, writer } = connection
        input.skip(input.length)
        if (moment === 'while output is queued') writer.writeBinary(Buffer.alloc(8 * MIB)).flush()
        if (moment === 'while it is closing') {
          writer.writeBinary(Buffer.alloc(8 * MIB)).flush()
          void connection.close()
        }
        if (moment === 'after our FIN') await connection.closeWrite()
        if (moment === 'while it is paused') connection.pause()
        await reset(connection)
        await turn()
      },
      onError: (error) => t.log(error),
    })
    const count = 100
    for (let n = 0; n < count; n++) {
      const socket = intruder(server)
      socket.pause()
      socket.on('connect', () => {
        if (moment === 'before it is accepted') {
          socket.resetAndDestroy()
          return
        }
        sockets.set(socket.localPort as number, socket)
        socket.write('request')
      })
    }
    const isOver = (): boolean => {
      const all = opens === count || moment === 'before it is accepted'
      return all && opens === ends && server.loop.connectionCount === 0 && stats().connections === 0
    }
    await later(50)
    await eventually(isOver, () => `${opens} were opened, ${ends} have ended`)
    t.is(opens, ends)
  })
}
