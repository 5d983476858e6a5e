import { connect } from 'node:net'
import type { Server as NetServer } from 'node:net'

import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  ClientTCP,
  EventPattern,
  MessagePattern,
  Payload,
  RpcException,
  Transport,
} from '@nestjs/microservices'
import test, { type ExecutionContext } from 'ava'
import { firstValueFrom, from, lastValueFrom, type Observable, toArray } from 'rxjs'

import { rawPeer } from '../../testing/network.ts'
import { eventually, within } from '../../testing/waiting.ts'
import { makeClient, silent, startService } from './helpers.ts'

const heard: unknown[] = []

@Controller()
class TestController {
  @MessagePattern({ cmd: 'same' })
  same(@Payload() value: unknown) {
    return value
  }

  @MessagePattern('count')
  count(@Payload() to: number) {
    return from(Array.from({ length: to }, (_, at) => at))
  }

  @MessagePattern('fail')
  fail() {
    throw new RpcException('as expected')
  }

  @EventPattern('said')
  said(@Payload() what: unknown) {
    heard.push(what)
  }
}

@Module({ controllers: [TestController] })
class TestModule {}

/** One, two, three and four bytes in UTF-8; the last one is two units in UTF-16. */
const TEXTS = ['', 'a', 'ü', '€', '🌍', 'aü€🌍#12#', '🌍'.repeat(1000), '\ud800 alone']

interface Asking {
  send(pattern: unknown, data: unknown): Observable<unknown>
  emit(pattern: unknown, data: unknown): Observable<unknown>
}

/** All that both transports can do. */
async function converse(t: ExecutionContext, client: Asking): Promise<void> {
  for (const text of TEXTS) {
    t.is(await within(firstValueFrom(client.send({ cmd: 'same' }, text)), text), text)
  }
  const all = TEXTS.map((text) => firstValueFrom(client.send({ cmd: 'same' }, { text })))
  t.deepEqual(
    await within(Promise.all(all), 'all at a time'),
    TEXTS.map((text) => ({ text })),
  )
  t.deepEqual(await lastValueFrom(client.send('count', 4).pipe(toArray())), [0, 1, 2, 3])
  await t.throwsAsync(
    lastValueFrom(client.send('fail', {})).catch((error: { message: string }) => {
      throw new Error(error.message)
    }),
    { message: 'as expected' },
  )
  await t.throwsAsync(
    lastValueFrom(client.send('none', {})).catch((error: string) => {
      throw new Error(error)
    }),
    { message: /no matching message handler/ },
  )
  const before = heard.length
  await lastValueFrom(client.emit('said', 'grüße'), { defaultValue: undefined })
  await eventually(() => heard.length > before, 'the event')
  t.is(heard.at(-1), 'grüße')
}

async function startNestTcp(t: ExecutionContext): Promise<number> {
  const app = await NestFactory.createMicroservice(TestModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
    logger: silent,
  })
  await app.listen()
  t.teardown(() => app.close())
  return (app.unwrap<NetServer>().address() as { port: number }).port
}

test.serial("Nest's own TCP client talks to our server", async (t) => {
  const { port } = await startService(t, TestModule, { protocol: 'tcp' })
  const client = new ClientTCP({ host: '127.0.0.1', port })
  t.teardown(() => client.close())
  await converse(t, client)
})

test.serial("our client talks to Nest's own TCP server", async (t) => {
  const client = makeClient(t, await startNestTcp(t), { protocol: 'tcp' })
  await converse(t, client)
})

test.serial("our client talks to our server in Nest's protocol", async (t) => {
  const { port } = await startService(t, TestModule, { protocol: 'tcp' })
  await converse(t, makeClient(t, port, { protocol: 'tcp' }))
})

test('messages of many bytes a unit may exceed what a connection holds unread', async (t) => {
  const { port } = await startService(t, TestModule, { protocol: 'tcp' })
  const client = new ClientTCP({ host: '127.0.0.1', port })
  t.teardown(() => client.close())
  for (const text of ['€'.repeat(1_500_000), '🌍'.repeat(700_000), 'a'.repeat(3_000_000)]) {
    const same = await within(firstValueFrom(client.send({ cmd: 'same' }, text)), 'a large reply')
    t.true(same === text)
  }
})

/** As Nest writes it. */
function framed(message: object): string {
  const text = JSON.stringify(message)
  return `${text.length}#${text}`
}

function ask(id: number): string {
  return framed({ pattern: { cmd: 'same' }, data: 'ü€🌍', id })
}

function reply(id: number): string {
  return framed({ response: 'ü€🌍', isDisposed: true, id })
}

test('messages may be cut anywhere, also within a character', async (t) => {
  const { port } = await startService(t, TestModule, { protocol: 'tcp' })
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  t.teardown(() => socket.destroy())
  let received = ''
  socket.setEncoding('utf8').on('data', (text: string) => (received += text))
  for (const byte of Buffer.from(ask(1) + ask(2))) {
    await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()))
    // Each by itself, as far as the kernel lets it.
    await new Promise((resolve) => setImmediate(resolve))
  }
  await eventually(() => received.length >= (reply(1) + reply(2)).length, 'both replies')
  t.is(received, reply(1) + reply(2))
})

for (const [name, bytes] of Object.entries({
  'a length of letters': Buffer.from('abc#{}'),
  'no end of the length': Buffer.from('12345678901#'),
  'no JSON': Buffer.from('3#abc'),
  'no object': Buffer.from('2#12'),
  'no pattern': Buffer.from('2#{}'),
  'no UTF-8': Buffer.from([0x32, 0x23, 0xff, 0xff]),
  'half a character': Buffer.from('3#{}🌍'),
})) {
  test(`${name} ends that connection in Nest's protocol, and no other`, async (t) => {
    const { port, errors } = await startService(t, TestModule, { protocol: 'tcp' })
    const client = makeClient(t, port, { protocol: 'tcp' })
    await client.connect()
    const bad = await rawPeer(t, port)
    bad.socket.write(bytes)
    t.is((await bad.all).length, 0)
    t.deepEqual(
      errors.map(({ code }) => code),
      ['ERR_NODEPOLL_NESTJS_MALFORMED_MESSAGE'],
    )
    t.is(await firstValueFrom(client.send({ cmd: 'same' }, 'goes on')), 'goes on')
  })
}

test("an oversized message ends that connection in Nest's protocol", async (t) => {
  const { port, errors } = await startService(t, TestModule, { protocol: 'tcp', messageMax: 100 })
  const bad = await rawPeer(t, port)
  bad.socket.write('101#')
  await bad.all
  t.is(errors[0]?.code, 'ERR_NODEPOLL_FRAME_LIMIT')
})
