import test, { type ExecutionContext } from 'ava'
import { createEventLoop, createListener, dial, serve } from 'nodepoll'

import { startBlackHole } from './helpers/black-hole.ts'
import { deferred, failureOf } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { fakeNames } from './helpers/names.ts'
import { dialTo, openPair, portOf, startServer } from './helpers/server.ts'

type Test = ExecutionContext<unknown>

const host = '127.0.0.1'

/** Calls that fail, each with what has to be there before; and the code of the failure. */
const calls: Record<string, [prepare: (t: Test) => Promise<() => unknown>, code: string]> = {
  'a refused dial': [
    async () => {
      const listener = await createListener({ host })
      await listener.close()
      return () => dial({ host, port: portOf(listener.address) })
    },
    'ECONNREFUSED',
  ],
  'a dial of several addresses': [
    async (t) => {
      const listener = await createListener({ host })
      await listener.close()
      fakeNames(t, () => [host, '127.0.0.2'])
      return () => dial({ host: 'two.test', port: portOf(listener.address) })
    },
    'ECONNREFUSED',
  ],
  'a dial of an unknown name': [
    async (t) => {
      fakeNames(t, () => [])
      return () => dial({ host: 'unknown.test', port: 1 })
    },
    'ENOTFOUND',
  ],
  'a dial that takes too long': [
    async (t) => {
      const { port } = await startBlackHole(t)
      return () => dial({ host, port, timeoutMs: 20 })
    },
    'ERR_NODEPOLL_DIAL_TIMEOUT',
  ],
  'a dial with wrong options': [async () => () => dial({ host, port: -1 }), 'ERR_OUT_OF_RANGE'],
  'a dial of a missing path': [async () => () => dial({ path: '/no/such/socket' }), 'ENOENT'],
  'a listener at an address in use': [
    async (t) => {
      const { address } = await startServer(t)
      return () => createListener({ host, port: portOf(address) })
    },
    'EADDRINUSE',
  ],
  'a server at an address in use': [
    async (t) => {
      const { address } = await startServer(t)
      return () => serve({ host, port: portOf(address) })
    },
    'EADDRINUSE',
  ],
  'a listener at an unknown name': [
    async (t) => {
      fakeNames(t, () => [])
      return () => createListener({ host: 'unknown.test' })
    },
    'ENOTFOUND',
  ],
  'serving after a shutdown': [
    async (t) => {
      const loop = createEventLoop({})
      await loop.shutdown()
      const listener = await createListener({ host })
      t.teardown(() => listener.close())
      return () => loop.serve(listener)
    },
    'ERR_NODEPOLL_SHUT_DOWN',
  ],
  'a shutdown with a deadline': [
    async (t) => {
      const gate = deferred<undefined>()
      const { server } = await openPair(t, { onConnect: () => gate.promise })
      t.teardown(() => gate.resolve(undefined))
      return () => server.shutdown({ deadlineMs: 1, force: false })
    },
    'ERR_NODEPOLL_DEADLINE',
  ],
  'a read that takes too long': [
    async (t) => {
      const { connection } = await openPair(t)
      return () => connection.setReadTimeout(10).reader.next(1)
    },
    'ERR_NODEPOLL_READ_TIMEOUT',
  ],
  'a read that the peer ends': [
    async (t) => {
      const { connection, peer } = await openPair(t)
      return () => {
        peer.end()
        return connection.reader.readString(10)
      }
    },
    'ERR_NODEPOLL_EOF',
  ],
  'a second read': [
    async (t) => {
      const { connection } = await openPair(t)
      connection.reader.next(1).catch(() => {})
      return () => connection.reader.next(1)
    },
    'ERR_NODEPOLL_CONCURRENT_READ',
  ],
  'a drain that takes too long': [
    async (t) => {
      const { connection, peer } = await openPair(t)
      peer.socket.pause()
      return () => {
        connection.setWriteTimeout(10).write(Buffer.alloc(16 << 20))
        return connection.writer.drained()
      }
    },
    'ERR_NODEPOLL_WRITE_TIMEOUT',
  ],
  'a write after the end': [
    async (t) => {
      const { server } = await openPair(t)
      const connection = await dialTo(t, server.address)
      connection.destroy()
      return () => connection.write('x')
    },
    'ERR_NODEPOLL_CONNECTION_CLOSED',
  ],
}

for (const [what, [prepare, code]] of Object.entries(calls)) {
  test.serial(`H44: the error of ${what} has its caller on its stack`, async (t) => {
    await leakCheck(t)
    const call = await prepare(t)
    async function whoHasCalled(): Promise<unknown> {
      return await call()
    }
    const error = await failureOf(whoHasCalled(), what)
    t.is((error as NodeJS.ErrnoException).code, code)
    t.regex(String(error.stack), /\bwhoHasCalled\b/)
    t.true(String(error.stack).includes(error.message))
  })
}
