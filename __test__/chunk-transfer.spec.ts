import { MessageChannel } from 'node:worker_threads'

import test from 'ava'

import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { echoServer, openPair } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

interface Growable {
  transfer?(): unknown
  transferToFixedLength?(): unknown
  resize?(bytes: number): unknown
}

/** Every way to take an ArrayBuffer away from its views. */
const thefts: Record<string, (buffer: ArrayBuffer) => unknown> = {
  structuredClone: (buffer) => structuredClone(buffer, { transfer: [buffer] }),
  postMessage(buffer) {
    const { port1, port2 } = new MessageChannel()
    try {
      port1.postMessage(buffer, [buffer])
    } finally {
      port1.close()
      port2.close()
    }
  },
  transfer: (buffer) => (buffer as Growable).transfer?.(),
  transferToFixedLength: (buffer) => (buffer as Growable).transferToFixedLength?.(),
  resize: (buffer) => (buffer as Growable).resize?.(0),
}

test.serial(
  'H64: the memory behind a view cannot be transferred away, and traffic stays exact',
  async (t) => {
    await leakCheck(t)
    const { connection, peer } = await openPair(t)
    const server = await echoServer(t)
    const neighbour = await Peer.connect(t, server.address)
    const { input, reader, writer } = connection
    for (const [theft, steal] of Object.entries(thefts)) {
      await peer.send(new Stream(1).take(1_000))
      await reader.wait(1_000)
      const reserved = writer.malloc(100)
      const views: Record<string, Buffer> = {
        peek: input.peek(500),
        'peek of the reader': await reader.next(100),
        next: input.next(400),
        malloc: reserved,
      }
      for (const [what, view] of Object.entries(views)) {
        const buffer = view.buffer as ArrayBuffer
        const before = buffer.byteLength
        try {
          steal(buffer)
        } catch {
          // Refusing is the best answer; copying will do.
        }
        t.is(buffer.byteLength, before, `${theft} of ${what}`)
        t.true(view.length > 0, `${theft} of ${what}`)
      }
      t.true(new Stream(1).matches(Buffer.concat([views['peek of the reader']!, views['next']!])))
      reserved.set(new Stream(2).take(100))
      writer.flush()
      t.true(new Stream(2).matches(await peer.read(100)))
      input.skip(input.length)
      input.release()
      await neighbour.send(new Stream(3).take(200_000))
      t.true(new Stream(3).matches(await neighbour.read(200_000)))
    }
  },
)
