import { existsSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'

import test from 'ava'
import { createListener } from 'nodepoll'

import { failureOf } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { startChild } from './helpers/child.ts'
import { Peer } from './helpers/peer.ts'
import { dialTo, echoServer, openPair, temporaryPath } from './helpers/server.ts'

test.serial('a unix socket echoes, and both ends know its path', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const { connection, server } = await openPair(t, { path })
  t.deepEqual(server.address, { family: 'unix', path })
  t.deepEqual(connection.localAddress, { family: 'unix', path })
  t.is(connection.remoteAddress.family, 'unix')
  const dialled = await dialTo(t, server.address)
  t.deepEqual(dialled.remoteAddress, { family: 'unix', path })
})

test.serial('the path of a unix socket is removed when close() resolves', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const listener = await createListener({ path })
  t.true(statSync(path).isSocket())
  await listener.close()
  t.false(existsSync(path))
})

test.serial('connections of a closed unix listener go on', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t, { path: temporaryPath(t) })
  const peer = await Peer.connect(t, server.address)
  await peer.send('before')
  await peer.read(6)
  await server.close()
  await peer.send('after')
  t.is((await peer.read(5)).toString(), 'after')
})

test.serial('H99: a listener that closes leaves the file of its successor alone', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const first = await createListener({ path })
  unlinkSync(path)
  const second = await echoServer(t, { path })
  await first.close()
  t.true(existsSync(path))
  const peer = await Peer.connect(t, second.address)
  await peer.send('here')
  t.is((await peer.read(4)).toString(), 'here')
})

test.serial('H99: a listener that closes leaves a file alone that took its place', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const listener = await createListener({ path })
  renameSync(path, `${path}.moved`)
  writeFileSync(path, 'a file of somebody else')
  await listener.close()
  t.true(statSync(path).isFile())
})

test.serial('H99: the file of a killed process is in the way, and stays', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t)
  const child = startChild(
    t,
    `import { createListener } from 'nodepoll'
     await createListener({ path: ${JSON.stringify(path)} })
     console.log('listening')`,
  )
  await child.line(/listening/)
  child.process.kill('SIGKILL')
  await child.end()
  t.true(existsSync(path))
  const error = await failureOf(createListener({ path }))
  t.like(error, { code: 'EADDRINUSE', syscall: 'listen', address: path })
  t.true(existsSync(path))
})

test.serial('H99: a path that is too long is refused, and no file is made', async (t) => {
  await leakCheck(t)
  const path = temporaryPath(t, 'x'.repeat(200))
  const error = await failureOf(createListener({ path }))
  t.regex(String((error as NodeJS.ErrnoException).code), /^(EINVAL|ENAMETOOLONG)$/)
  t.is((error as NodeJS.ErrnoException).syscall, 'listen')
  t.false(existsSync(path))
  t.false(existsSync(path.slice(0, 107)))
  const dialError = await failureOf(dialTo(t, { family: 'unix', path }))
  t.regex(String((dialError as NodeJS.ErrnoException).code), /^(EINVAL|ENAMETOOLONG)$/)
})
