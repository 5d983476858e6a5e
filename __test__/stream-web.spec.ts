import test from 'ava'
import { stats } from 'nodepoll'
import { toWeb } from 'nodepoll/stream'

import { eventually, failureOf, settled, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { dialTo, openPair, portOf, startNetServer } from './helpers/server.ts'
import { Stream } from './helpers/stream.ts'

const MANY = 32 << 20

/** What nodepoll and the kernels may hold of a stream that nobody reads. */
const HELD_MAX = 16 << 20

test('a BYOB reader gets the bytes in its own memory, as many as it has room for', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { readable } = toWeb(connection)
  const reader = readable.getReader({ mode: 'byob' })
  await peer.send('hello world')
  await eventually(() => connection.input.length === 11, 'all bytes')
  const memory = new ArrayBuffer(8)
  const first = await within(reader.read(new Uint8Array(memory, 2, 5)), 'a part')
  t.is(Buffer.from(first.value as Uint8Array).toString(), 'hello')
  // It is the same memory, under another object: streams transfer it.
  t.is(memory.byteLength, 0)
  t.is(first.value?.byteOffset, 2)
  t.is(first.value?.buffer.byteLength, 8)
  const rest = await within(reader.read(new Uint8Array(100)), 'the rest')
  t.is(Buffer.from(rest.value as Uint8Array).toString(), ' world')
  const last = reader.read(new Uint8Array(100))
  peer.end()
  t.true((await within(last, 'the end')).done)
  t.true(connection.isActive)
})

test('a stream is read and written byte for byte, with both ends closed', async (t) => {
  await leakCheck(t)
  const { port } = await startNetServer(t, (socket) => socket.pipe(socket))
  const { readable, writable, closed } = toWeb(await dialTo(t, port))
  const sent = new Stream(1)
  const received = new Stream(1)
  const writing = (async () => {
    const writer = writable.getWriter()
    for (const size of [1, 10, 70_000, 1_000_000, 0, 5]) await writer.write(sent.take(size))
    await writer.close()
  })()
  for await (const chunk of readable) t.true(received.matches(chunk))
  await within(writing, 'the end of writing')
  t.is(received.position, sent.position)
  t.deepEqual(await within(closed, 'the end'), { by: 'peer' })
})

test('an answer may be written after the end of the question', async (t) => {
  await leakCheck(t)
  // Without allowHalfOpen: the streams go on after FIN all the same.
  const { connection, peer } = await openPair(t, {}, { allowHalfOpen: true })
  const { readable, writable } = toWeb(connection)
  peer.end('question')
  let question = ''
  for await (const chunk of readable) question += Buffer.from(chunk).toString()
  const writer = writable.getWriter()
  await writer.write(Buffer.from(question.toUpperCase()))
  await writer.close()
  t.is((await peer.readToEnd()).toString(), 'QUESTION')
})

test('a peer that does not read makes writes wait', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  peer.socket.pause()
  const writer = toWeb(connection).writable.getWriter()
  let written = 0
  const chunk = new Uint8Array(256 << 10)
  const writing = (async () => {
    while (written < MANY) {
      await writer.write(chunk)
      written += chunk.length
    }
    await writer.close()
  })()
  await settled(() => written, 300)
  t.true(written < HELD_MAX)
  t.true(stats().arenaBytesLeased < HELD_MAX)
  peer.socket.resume()
  await within(writing, 'all writes')
  t.is((await peer.readToEnd()).length, MANY)
})

test('a reader that does not read makes the peer wait', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { readable } = toWeb(connection)
  const sent = new Stream(2)
  const sending = (async () => {
    while (sent.position < MANY) await peer.send(sent.take(256 << 10))
    peer.end()
  })()
  await settled(() => connection.bytesRead, 300)
  t.true(connection.bytesRead < HELD_MAX)
  const received = new Stream(2)
  for await (const chunk of readable) {
    if (!received.matches(chunk)) t.fail(`wrong bytes at ${received.position}`)
  }
  await sending
  t.is(received.position, MANY)
})

test('a reset fails both streams with its error', async (t) => {
  await leakCheck(t)
  const { connection, peer } = await openPair(t)
  const { readable, writable, closed } = toWeb(connection)
  const reading = failureOf(readable.getReader().read(), 'a read')
  peer.reset()
  t.like(await reading, { code: 'ECONNRESET' })
  const { by, error } = await within(closed, 'the end')
  t.is(by, 'error')
  t.like(error, { code: 'ECONNRESET' })
  const write = writable.getWriter().write(new Uint8Array(1))
  t.like(await failureOf(write, 'a write'), { code: 'ERR_NODEPOLL_CONNECTION_CLOSED' })
})

test('cancel destroys the connection, abort resets it', async (t) => {
  await leakCheck(t)
  const cancelled = await openPair(t)
  await toWeb(cancelled.connection).readable.cancel()
  t.deepEqual(await within(cancelled.connection.closed, 'the end'), { by: 'local' })
  t.is(await within(cancelled.peer.closed, 'the end at the peer'), undefined)
  const aborted = await openPair(t)
  await toWeb(aborted.connection).writable.abort()
  const error = await within(aborted.peer.closed, 'the end at the peer')
  t.is(error?.code, 'ECONNRESET')
})

test('streams pipe from one connection to another', async (t) => {
  await leakCheck(t)
  const { port } = await startNetServer(t, (socket) => socket.pipe(socket))
  const { connection, peer } = await openPair(t)
  const front = toWeb(connection)
  const back = toWeb(await dialTo(t, port))
  const piping = Promise.all([
    front.readable.pipeTo(back.writable),
    back.readable.pipeThrough(new TransformStream()).pipeTo(front.writable),
  ])
  const text = 'q'.repeat(500_000)
  peer.end(text)
  await within(piping, 'both pipes')
  t.is((await peer.readToEnd()).toString(), text)
  t.true(portOf(connection.localAddress) > 0)
})

test('toWeb takes connections only', (t) => {
  t.throws(() => toWeb({} as never), { code: 'ERR_INVALID_ARG_TYPE' })
})
