import { getEventListeners, setMaxListeners } from 'node:events'
import { statSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'

import test from 'ava'
import {
  type Address,
  createEventLoop,
  createListener,
  isNodepollError,
  type Listener,
  type ListenOptions,
  serve,
  stats,
} from 'nodepoll'

import { codeOf, deferred, eventually, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { fakeNames } from './helpers/names.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, echoServer, portOf, startServer, temporaryPath } from './helpers/server.ts'

const where = { host: '127.0.0.1', port: 0 }

/** An option that the system does not have must be refused; then there is nothing more to see. */
async function orUnsupported<T>(
  t: { log(text: string): void; pass(): void },
  start: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await start()
  } catch (error) {
    if (!isNodepollError(error, 'ERR_NODEPOLL_UNSUPPORTED')) throw error
    t.log(`skipped: ${error.message}`)
    t.pass()
    return undefined
  }
}

test.serial('H54: with reusePort two listeners share a port, and each gets peers', async (t) => {
  await leakCheck(t)
  const first = await orUnsupported(t, () => echoServer(t, { ...where, reusePort: true }))
  if (first === undefined) return
  const { port } = first.address as Address & { port: number }
  const second = await echoServer(t, { ...where, port, reusePort: true })
  t.deepEqual(second.address, first.address)
  const peers = await Promise.all(Array.from({ length: 200 }, () => Peer.connect(t, first.address)))
  await Promise.all(
    peers.map(async (peer) => {
      await peer.send('echo')
      t.is((await peer.read(4)).toString(), 'echo')
    }),
  )
  const counts = [first, second].map(({ loop }) => loop.connectionCount)
  t.log(`${counts.join(' and ')} connections`)
  t.is(
    counts.reduce((sum, count) => sum + count),
    200,
  )
  for (const count of counts) t.true(count > 20, `${counts.join(' and ')} connections`)
})

test.serial('H54: without reusePort on both sides a port is not shared', async (t) => {
  await leakCheck(t)
  const shared = await orUnsupported(t, () => startServer(t, { ...where, reusePort: true }))
  if (shared === undefined) return
  const port = portOf(shared.address)
  t.is(codeOf(await failureOf(createListener({ ...where, port }))), 'EADDRINUSE')
  const { address } = await startServer(t, where)
  const options = { ...where, port: portOf(address), reusePort: true }
  t.is(codeOf(await failureOf(createListener(options))), 'EADDRINUSE')
})

for (const ipv6Only of [false, true]) {
  test.serial(
    `H54: with ipv6Only: ${ipv6Only} a wildcard ${ipv6Only ? 'refuses' : 'takes'} IPv4`,
    async (t) => {
      await leakCheck(t)
      const server = await startServerOnIPv6(t, { host: '::', port: 0, ipv6Only })
      if (server === undefined) return
      const { port } = server.address as Address & { port: number }
      t.deepEqual(server.address, { family: 'IPv6', address: '::', port })
      const six = await dialTo(t, { family: 'IPv6', address: '::1', port })
      t.deepEqual(six.remoteAddress, { family: 'IPv6', address: '::1', port })
      const four = dialTo(t, { family: 'IPv4', address: '127.0.0.1', port })
      if (ipv6Only) {
        t.is(codeOf(await failureOf(four)), 'ECONNREFUSED')
        return
      }
      const { localAddress } = await four
      await eventually(() => server.loop.connectionCount === 2, 'both connections')
      const remotes = [...server.loop.connections()].map(({ remoteAddress }) => remoteAddress)
      const mapped = { ...localAddress, family: 'IPv6', address: '::ffff:127.0.0.1' }
      t.true(
        remotes.some((remote) => JSON.stringify(remote) === JSON.stringify(mapped)),
        JSON.stringify(remotes),
      )
    },
  )
}

test.serial('H54: ipv6Only leaves an IPv4 address as it is', async (t) => {
  await leakCheck(t)
  const server = await startServer(t, { ...where, ipv6Only: true })
  await Peer.connect(t, server.address)
  t.pass()
})

test.serial('without a host a listener takes IPv4, and IPv6 where there is any', async (t) => {
  await leakCheck(t)
  const listener = await createListener({})
  t.teardown(() => listener.close())
  t.true(['::', '0.0.0.0'].includes((listener.address as { address: string }).address))
  const port = portOf(listener.address)
  await dialTo(t, { family: 'IPv4', address: '127.0.0.1', port })
  if (listener.address.family === 'IPv6') {
    await dialTo(t, { family: 'IPv6', address: '::1', port })
  }
})

async function startServerOnIPv6(
  t: Parameters<typeof startServer>[0],
  options: ListenOptions,
): Promise<Awaited<ReturnType<typeof startServer>> | undefined> {
  try {
    await (await createListener({ host: '::1' })).close()
  } catch (error) {
    t.log(`skipped: this machine has no IPv6: ${codeOf(error)}`)
    t.pass()
    return undefined
  }
  return await startServer(t, options)
}

test.serial('H54, H99: an abstract unix socket echoes and has no file', async (t) => {
  await leakCheck(t)
  const path = `\0nodepoll-test-${process.pid}-${Date.now()}`
  const server = await orUnsupported(t, () => echoServer(t, { path }))
  if (server === undefined) {
    t.not(process.platform, 'linux')
    return
  }
  t.is(process.platform, 'linux')
  t.deepEqual(server.address, { family: 'unix', path })
  const connection = await dialTo(t, server.address)
  t.deepEqual(connection.remoteAddress, { family: 'unix', path })
  connection.write('echo')
  t.is(await within(connection.reader.readString(4), 'an echo'), 'echo')
  const [accepted] = server.loop.connections()
  t.deepEqual(accepted?.localAddress, { family: 'unix', path })
  for (const file of [path.slice(1), `@${path.slice(1)}`]) t.throws(() => statSync(file))
  // The name is taken, and free again after close().
  t.like(await failureOf(createListener({ path })), {
    code: 'EADDRINUSE',
    syscall: 'listen',
    address: path,
  })
  await server.close()
  await (await createListener({ path })).close()
  t.is(codeOf(await failureOf(dialTo(t, { family: 'unix', path }))), 'ECONNREFUSED')
})

test.serial(
  'H99: names in the abstract namespace may be as long as paths, no longer',
  async (t) => {
    if (process.platform !== 'linux') {
      t.log('skipped: only Linux has the abstract namespace')
      t.pass()
      return
    }
    await leakCheck(t)
    const unique = `\0${process.pid}-${Date.now()}-`
    const longest = unique.padEnd(108, 'x')
    const server = await echoServer(t, { path: longest })
    const connection = await dialTo(t, server.address)
    connection.write('echo')
    t.is(await within(connection.reader.readString(4), 'an echo'), 'echo')
    const tooLong = { path: `${longest}x` }
    t.regex(String(codeOf(await failureOf(createListener(tooLong)))), /^(EINVAL|ENAMETOOLONG)$/)
  },
)

test.serial('H104: a listener with a signal that is aborted already is not opened', async (t) => {
  await leakCheck(t)
  const reason = { its: 'reason' }
  const signal = AbortSignal.abort(reason)
  const path = temporaryPath(t)
  let lookups = 0
  fakeNames(t, () => [`127.0.0.${++lookups}`])
  for (const options of [where, { path }, { host: 'some.test' }]) {
    t.is(await failureOf(createListener({ ...options, signal })), reason as never)
    t.is(await failureOf(serve({ ...options, signal })), reason as never)
  }
  t.is(lookups, 0)
  t.throws(() => statSync(path), { code: 'ENOENT' })
  t.deepEqual(getEventListeners(signal, 'abort'), [])
  t.is(stats().listeners, 0)
})

test.serial('H104: an abort while the host is looked up opens no socket', async (t) => {
  await leakCheck(t)
  const answer = deferred<string[]>()
  fakeNames(t, () => answer.promise)
  const controller = new AbortController()
  const listening = failureOf(createListener({ host: 'slow.test', signal: controller.signal }))
  const reason = new Error('mine')
  controller.abort(reason)
  answer.resolve(['127.0.0.1'])
  t.is(await listening, reason)
  t.is(stats().listeners, 0)
  t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
})

test.serial(
  'a signal that is aborted closes the listener and leaves connections alone',
  async (t) => {
    await leakCheck(t)
    const controller = new AbortController()
    const { signal } = controller
    const path = temporaryPath(t)
    const loop = createEventLoop({
      onRequest({ input, writer }) {
        writer.append(input).flush()
      },
    })
    const listeners = [
      await createListener({ ...where, signal }),
      await createListener({ path, signal }),
    ]
    const served = Promise.all(listeners.map((listener) => loop.serve(listener)))
    const peers = await Promise.all(listeners.map(({ address }) => Peer.connect(t, address)))
    await eventually(() => loop.connectionCount === 2, 'accepted connections')
    t.is(getEventListeners(signal, 'abort').length, 2)
    controller.abort()
    await eventually(() => stats().listeners === 0, 'closed listeners')
    t.throws(() => statSync(path), { code: 'ENOENT' })
    const again = connect(portOf((listeners[0] as Listener).address), '127.0.0.1')
    t.is(
      await new Promise((resolve) => again.on('error', (error) => resolve(codeOf(error)))),
      'ECONNREFUSED',
    )
    for (const peer of peers) {
      await peer.send('x')
      t.is((await peer.read(1)).toString(), 'x')
      peer.end()
    }
    await within(served, 'serve()')
    // A close() that follows finds it done.
    for (const listener of listeners) await within(listener.close(), 'close()')
    t.deepEqual(getEventListeners(signal, 'abort'), [])
  },
)

test.serial('a signal that is aborted while a server starts closes it', async (t) => {
  await leakCheck(t)
  const controller = new AbortController()
  const path = temporaryPath(t)
  const starting = startServer(t, { path, signal: controller.signal })
  controller.abort()
  // It had listened already, when the signal came.
  const server = await starting
  await within(server.finished, 'the end of a server')
  t.throws(() => statSync(path), { code: 'ENOENT' })
  t.is(stats().listeners, 0)
})

test.serial('H104: one signal for 1,000 listens keeps no listener, and none warns', async (t) => {
  await leakCheck(t)
  const warnings: Error[] = []
  const warned = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => void process.off('warning', warned))
  const taken = await startServer(t)
  const { signal } = new AbortController()
  // As many as are open at a time, so that those which stay would be warned of.
  setMaxListeners(50, signal)
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const port = index % 2 === 0 ? 0 : portOf(taken.address)
        const listening = createListener({ ...where, port, signal })
        if (port === 0) await (await listening).close()
        else t.is(codeOf(await failureOf(listening)), 'EADDRINUSE')
      }),
    )
    t.deepEqual(getEventListeners(signal, 'abort'), [])
  }
  t.deepEqual(warnings, [])
})

test.serial('H99: a stale socket file can be replaced by who removes it', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const old = await createListener({ path })
  t.is(codeOf(await failureOf(createListener({ path }))), 'EADDRINUSE')
  unlinkSync(path)
  const server = await echoServer(t, { path })
  const inode = statSync(path).ino
  // Those that closed before and those that close now leave the new file alone.
  await old.close()
  await old.close()
  t.is(statSync(path).ino, inode)
  const connection = await dialTo(t, server.address)
  connection.write('here')
  t.is(await within(connection.reader.readString(4), 'an echo'), 'here')
})
