import { once } from 'node:events'
import { connect, createServer, type ListenOptions as NetListenOptions } from 'node:net'
import { getSystemErrorMap } from 'node:util'

import test from 'ava'
import {
  createListener,
  dial,
  type DialOptions,
  isNodepollError,
  type ListenOptions,
  NodepollError,
  serve,
} from 'nodepoll'

import { describeErrno } from '../lib/internal/errno.ts'
import { runChild } from './helpers/child.ts'
import { failureOf } from './helpers/deadline.ts'
import { freePort } from '../scripts/free-port.mjs'
import { leakCheck } from './helpers/leaks.ts'
import { portOf, startNetServer, startServer, temporaryPath } from './helpers/server.ts'

const fields = ['code', 'errno', 'syscall', 'address', 'port'] as const

/** The error must say what node:net says in the same situation. */
function fieldsOf(error: unknown): Record<string, unknown> {
  const all = error as Record<string, unknown>
  return Object.fromEntries(fields.map((name) => [name, all[name]]))
}

async function netListenError(options: NetListenOptions): Promise<unknown> {
  const server = createServer()
  server.listen(options)
  try {
    return await failureOf(once(server, 'listening'), 'listening with node:net')
  } finally {
    server.close(() => {})
  }
}

async function netDialError(options: {
  host?: string
  port?: number
  path?: string
}): Promise<unknown> {
  const socket = connect(options as { port: number })
  return await failureOf(once(socket, 'connect'), 'connecting with node:net')
}

test.serial('H44: a port in use is EADDRINUSE, as node:net tells it', async (t) => {
  await leakCheck(t)
  const server = await startServer(t)
  const options: ListenOptions = { host: '127.0.0.1', port: portOf(server.address) }
  const error = await failureOf(createListener(options))
  t.true(error instanceof NodepollError)
  t.true(isNodepollError(error, 'EADDRINUSE'))
  t.deepEqual(fieldsOf(error), fieldsOf(await netListenError(options)))
  t.deepEqual(fieldsOf(await failureOf(serve(options))), fieldsOf(error))
})

test.serial('H44: a port without permission is EACCES, as node:net tells it', async (t) => {
  const { code, stdout, stderr } = await runChild(
    t,
    `
    import { once } from 'node:events'
    import { createServer } from 'node:net'
    import { createListener } from 'nodepoll'
    // Root may listen on every port. What is loaded later need not be readable.
    await (await createListener({ host: '127.0.0.1' })).close()
    await once(createServer().listen(0).close(), 'close')
    if (process.getuid?.() === 0) process.setuid(65534)
    const fieldsOf = ({ code, errno, syscall, address, port }) =>
      JSON.stringify([code, errno, syscall, address, port])
    const server = createServer().listen(1, '127.0.0.1')
    const [expected] = await Promise.race([once(server, 'error'), once(server, 'listening')])
    server.close(() => {})
    console.log(expected === undefined ? 'may' : fieldsOf(expected))
    const listening = createListener({ host: '127.0.0.1', port: 1 })
    console.log(await listening.then((listener) => listener.close().then(() => 'may'), fieldsOf))
    `,
  )
  t.deepEqual([code, stderr], [0, ''])
  const [expected, actual] = stdout.split('\n')
  t.is(actual, expected)
  if (expected === 'may') t.log('this system lets everybody listen on every port')
  else t.regex(String(expected), /^."EACCES"/)
})

test.serial('H44: listening on an address that is not ours fails as with node:net', async (t) => {
  await leakCheck(t)
  const options = { host: '192.0.2.1', port: 1234 }
  const error = await failureOf(createListener(options))
  t.like(error, { code: 'EADDRNOTAVAIL' })
  t.deepEqual(fieldsOf(error), fieldsOf(await netListenError(options)))
})

test.serial('H44: listening on an unknown name fails as the look-up does', async (t) => {
  await leakCheck(t)
  const options = { host: 'no-such-name.invalid', port: 0 }
  const error = await failureOf(createListener(options))
  t.true(error instanceof NodepollError)
  t.deepEqual(lookUpFields(error), lookUpFields(await netListenError(options)))
})

test.serial('H44: listening on a path in a missing folder is ENOENT', async (t) => {
  await leakCheck(t)
  const path = '/no/such/folder/socket'
  const error = await failureOf(createListener({ path }))
  t.like(error, { code: 'ENOENT', syscall: 'listen', address: path })
})

function lookUpFields(error: unknown): Record<string, unknown> {
  const { code, errno, syscall } = error as NodeJS.ErrnoException
  return { code, errno, syscall }
}

test.serial('H44: a refused dial is ECONNREFUSED, as node:net tells it', async (t) => {
  await leakCheck(t)
  const port = await freePort()
  const options: DialOptions = { host: '127.0.0.1', port }
  const error = await failureOf(dial(options))
  t.true(error instanceof NodepollError)
  t.deepEqual(fieldsOf(error), fieldsOf(await netDialError({ host: '127.0.0.1', port })))
  t.is(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`)
})

test.serial('H44: a dial of a missing or refusing unix path fails as with node:net', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const error = await failureOf(dial({ path }))
  t.like(error, { code: 'ENOENT', syscall: 'connect', address: path })
  t.deepEqual(fieldsOf(error), fieldsOf(await netDialError({ path })))
})

test.serial('H44: a dial of an unknown name fails as the look-up does', async (t) => {
  await leakCheck(t)
  const options = { host: 'no-such-name.invalid', port: 1 }
  const error = await failureOf(dial(options))
  t.true(error instanceof NodepollError)
  t.deepEqual(lookUpFields(error), lookUpFields(await netDialError(options)))
})

test.serial('H44: a dial that names an address that is not ours cannot bind it', async (t) => {
  await leakCheck(t)
  const { port } = await startNetServer(t, () => {})
  const error = await failureOf(dial({ host: '127.0.0.1', port, localAddress: '192.0.2.1' }))
  t.like(error, { code: 'EADDRNOTAVAIL', syscall: 'bind' })
})

test.serial('H96: a dial does not connect to itself', async (t) => {
  await leakCheck(t)
  const port = await freePort()
  const error = await failureOf(
    dial({ host: '127.0.0.1', port, localAddress: '127.0.0.1', localPort: port }),
  )
  t.like(error, { code: 'ECONNREFUSED' })
})

test.serial(
  'H97: 100 refused dials in a row all say so, and good ones between them connect',
  async (t) => {
    await leakCheck(t)
    const { port: good } = await startNetServer(t, (socket) => void socket.resume())
    const bad = await freePort()
    const results = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        try {
          const connection = await dial({ host: '127.0.0.1', port: index % 2 === 0 ? good : bad })
          await connection.close()
          return 'connected'
        } catch (error) {
          return (error as NodepollError).code
        }
      }),
    )
    const expected = results.map((_, index) => (index % 2 === 0 ? 'connected' : 'ECONNREFUSED'))
    t.deepEqual(results, expected)
  },
)

test.serial(
  'the errors of several addresses come as one, with the code of the first',
  async (t) => {
    await leakCheck(t)
    const port = await freePort()
    const error = (await failureOf(dial({ port }))) as NodepollError
    t.is(error.code, 'ECONNREFUSED')
    if (error.errors === undefined) {
      t.log('localhost has one address here')
      t.is(error.port, port)
      return
    }
    t.true(error.errors.length > 1)
    for (const each of error.errors)
      t.like(each, { code: 'ECONNREFUSED', port, syscall: 'connect' })
  },
)

test('an error number of Windows has the name and number that Node gives it there', (t) => {
  const numbers = new Map([...getSystemErrorMap()].map(([number, [name]]) => [name, number]))
  const socketErrors = { ECONNREFUSED: 10061, ECONNRESET: 10054, EADDRINUSE: 10048, ENOTSUP: 10045 }
  for (const [name, number] of Object.entries(socketErrors)) {
    t.like(describeErrno(number, 'win32'), { name, errno: numbers.get(name) as number })
  }
  t.like(describeErrno(12345, 'win32'), { name: 'E12345', errno: -12345 })
  // There it is access to a file that is denied, and here input or output that failed.
  t.is(describeErrno(5, 'win32').name, 'EACCES')
  t.is(describeErrno(5, 'linux').name, process.platform === 'win32' ? 'E5' : 'EIO')
})

test.serial('isNodepollError() knows our errors and their codes only', (t) => {
  const error = new NodepollError('ERR_NODEPOLL_EOF', 'the end', { cause: 1 })
  t.true(isNodepollError(error))
  t.true(isNodepollError(error, 'ERR_NODEPOLL_EOF'))
  t.false(isNodepollError(error, 'ECONNRESET'))
  t.false(isNodepollError(new Error('other')))
  t.false(isNodepollError(undefined))
  t.false(isNodepollError({ code: 'ERR_NODEPOLL_EOF' }, 'ERR_NODEPOLL_EOF'))
  t.is(error.name, 'NodepollError')
  t.is(error.cause, 1)
  t.regex(String(error), /^NodepollError: the end/)
})
