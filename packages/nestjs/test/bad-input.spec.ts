import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { Controller, Module } from '@nestjs/common'
import { MessagePattern, Payload } from '@nestjs/microservices'
import { type Protocol, TransportError } from '@nodepoll/nestjs'
import test from 'ava'
import { firstValueFrom } from 'rxjs'

import { rawPeer } from '../../testing/network.ts'
import { within } from '../../testing/waiting.ts'
import { makeClient, startService } from './helpers.ts'

@Controller()
class TestController {
  @MessagePattern('same')
  same(@Payload() value: unknown) {
    return value
  }
}

@Module({ controllers: [TestController] })
class TestModule {}

function frame(text: string): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(Buffer.byteLength(text))
  return Buffer.concat([header, Buffer.from(text)])
}

const MALFORMED = 'ERR_NODEPOLL_NESTJS_MALFORMED_MESSAGE'
const LIMIT = 'ERR_NODEPOLL_FRAME_LIMIT'
const HTTP = 'ERR_NODEPOLL_NESTJS_HTTP_PEER'
const request = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}'

const cases: [name: string, protocol: Protocol, bytes: Buffer, code: string][] = [
  ['a frame that is no JSON', 'nodepoll', frame('{"pattern'), MALFORMED],
  ['a frame that is no object', 'nodepoll', frame('[1]'), MALFORMED],
  ['a message without a pattern', 'nodepoll', frame('{"id":"1"}'), MALFORMED],
  ['an oversized frame', 'nodepoll', Buffer.from([0, 0, 0x10, 1]), LIMIT],
  ['HTTP', 'nodepoll', Buffer.from(request), HTTP],
  ['HTTP/2', 'nodepoll', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), HTTP],
  ["HTTP in Nest's protocol", 'tcp', Buffer.from(request), HTTP],
]

for (const [name, protocol, bytes, code] of cases) {
  test(`${name} is a named error and ends that connection, and no other`, async (t) => {
    const { port, errors } = await startService(t, TestModule, { protocol, messageMax: 4096 })
    const client = makeClient(t, port, { protocol })
    t.is(await firstValueFrom(client.send('same', 1)), 1)
    const bad = await rawPeer(t, port)
    bad.socket.write(bytes)
    t.is((await bad.all).length, 0)
    t.deepEqual(
      errors.map((error) => error.code),
      [code],
    )
    t.is(await firstValueFrom(client.send('same', 2)), 2)
  })
}

test('half a frame and then the end of its peer disturbs nobody', async (t) => {
  const { port, errors } = await startService(t, TestModule)
  const bad = await rawPeer(t, port)
  bad.socket.end(frame('{"pattern":"same"}').subarray(0, 10))
  await bad.all
  t.is(await firstValueFrom(makeClient(t, port).send('same', 1)), 1)
  t.deepEqual(errors, [])
})

test('a server that speaks something else is the reason why calls fail', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  server.listen(0, '127.0.0.1')
  t.teardown(() => void server.close())
  await once(server, 'listening')
  const client = makeClient(t, (server.address() as AddressInfo).port)
  const errors: unknown[] = []
  client.on('error', (error) => errors.push(error))
  const error = await within(
    firstValueFrom(client.send('same', 1)).catch((reason: unknown) => reason),
    'a failure',
  )
  t.true(error instanceof TransportError)
  const { code, cause } = error as TransportError & { cause: { code: string } }
  t.is(code, 'ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED')
  t.is(cause.code, LIMIT)
  t.deepEqual(errors, [cause])
})
