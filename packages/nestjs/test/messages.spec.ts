import { AsyncLocalStorage } from 'node:async_hooks'

import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Module,
  type NestInterceptor,
} from '@nestjs/common'
import { Ctx, EventPattern, MessagePattern, Payload, RpcException } from '@nestjs/microservices'
import { NODEPOLL_TRANSPORT, type NodepollContext, type TransportError } from '@nodepoll/nestjs'
import test from 'ava'
import type { Server } from 'nodepoll'
import {
  concat,
  firstValueFrom,
  lastValueFrom,
  map,
  Observable,
  of,
  take,
  throwError,
  toArray,
} from 'rxjs'

import { deferred, eventually, within } from '../../testing/waiting.ts'
import { makeClient, startService } from './helpers.ts'

const store = new AsyncLocalStorage<string>()
const state = { heard: [] as unknown[], stopped: 0 }

@Controller()
class TestController {
  @MessagePattern('sum')
  sum(@Payload() numbers: number[]) {
    return numbers.reduce((sum, each) => sum + each, 0)
  }

  @MessagePattern({ cmd: 'reverse', version: 1 })
  async reverse(@Payload() text: string) {
    return [...text].toReversed().join('')
  }

  @MessagePattern('same', NODEPOLL_TRANSPORT)
  same(@Payload() value: unknown) {
    return value
  }

  @MessagePattern('nothing')
  nothing() {}

  @MessagePattern('count')
  count(@Payload() to: number) {
    return new Observable<number>((subscriber) => {
      let at = 0
      const timer = setInterval(() => {
        subscriber.next(++at)
        if (at === to) subscriber.complete()
      }, 1)
      return () => {
        clearInterval(timer)
        state.stopped++
      }
    })
  }

  @MessagePattern('fail')
  fail(@Payload() how: string): unknown {
    if (how === 'expected') throw new RpcException({ status: 'error', code: 'OUT_OF_STOCK' })
    if (how === 'late')
      return concat(
        of(1),
        throwError(() => new RpcException('too late')),
      )
    throw new Error('a secret')
  }

  @MessagePattern('unsendable')
  unsendable(@Payload() what: string) {
    return what === 'large' ? 'x'.repeat(70_000) : 1n
  }

  @MessagePattern('context')
  context(@Ctx() context: NodepollContext) {
    const { remoteAddress } = context.getConnection()
    return { pattern: context.getPattern(), family: remoteAddress.family, store: store.getStore() }
  }

  @EventPattern('said')
  said(@Payload() what: unknown) {
    state.heard.push(what)
  }
}

@Module({ controllers: [TestController] })
class TestModule {}

test('a request has a reply, whatever its pattern and its values are', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  t.is(await firstValueFrom(client.send('sum', [1, 2, 3])), 6)
  const pattern = { version: 1, cmd: 'reverse' }
  t.is(await firstValueFrom(client.send(pattern, 'grüße, 🌍')), '🌍 ,eßürg')
  const value = { nested: [null, { text: '\u0000 ü 🌍' }], number: -1.5 }
  t.deepEqual(await firstValueFrom(client.send('same', value)), value)
  t.is(await lastValueFrom(client.send('nothing', {}), { defaultValue: 'none' }), 'none')
})

test('a message may be larger than what a connection holds unread', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  const text = 'größer🌍'.repeat(400_000)
  const reply = await within(firstValueFrom(client.send('same', text)), 'a large reply')
  t.true(reply === text)
})

test('a thousand requests at a time get their own replies over one connection', async (t) => {
  const { port, server } = await startService(t, TestModule)
  const client = makeClient(t, port)
  const replies = Array.from({ length: 1000 }, (_, at) =>
    firstValueFrom(client.send<number>('sum', [at, at])),
  )
  t.deepEqual(
    await within(Promise.all(replies), 'all replies'),
    Array.from({ length: 1000 }, (_, at) => 2 * at),
  )
  t.is(server.unwrap<Server>().loop.connectionCount, 1)
})

test.serial('an observable is a stream of replies, which ends where it ends', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  t.deepEqual(await lastValueFrom(client.send('count', 5).pipe(toArray())), [1, 2, 3, 4, 5])
})

test.serial('who unsubscribes ends the stream at the server', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  const { stopped } = state
  t.deepEqual(await lastValueFrom(client.send('count', 0).pipe(take(3), toArray())), [1, 2, 3])
  await eventually(() => state.stopped === stopped + 1, 'the end of the stream at the server')
})

test.serial('streams of a client that has gone are ended at the server', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  const { stopped } = state
  let received = 0
  client.send('count', 0).subscribe({ next: () => received++, error() {} })
  await eventually(() => received > 0, 'the first value')
  await client.close()
  await eventually(() => state.stopped > stopped, 'the end of the stream at the server')
  t.pass()
})

test('errors reach their caller alone, and those of no filter say nothing', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  const fail = (how: string) => lastValueFrom(client.send('fail', how).pipe(toArray()))
  t.deepEqual(await failureOf(fail('expected')), { status: 'error', code: 'OUT_OF_STOCK' })
  t.deepEqual(await failureOf(fail('unexpected')), {
    status: 'error',
    message: 'Internal server error',
  })
  t.deepEqual(await failureOf(fail('late')), { status: 'error', message: 'too late' })
  t.regex(String(await failureOf(firstValueFrom(client.send('none', 1)))), /no matching message/)
  t.is(await firstValueFrom(client.send('sum', [1])), 1)
})

test('a reply that cannot be sent is an error of its caller', async (t) => {
  const { port, errors } = await startService(t, TestModule, { messageMax: 65_536 })
  const client = makeClient(t, port)
  for (const what of ['large', 'bigint']) {
    const error = await failureOf(firstValueFrom(client.send('unsendable', what)))
    t.is((error as TransportError).code, 'ERR_NODEPOLL_NESTJS_UNSENDABLE')
  }
  t.deepEqual(
    errors.map(({ code }) => code),
    ['ERR_NODEPOLL_NESTJS_UNSENDABLE', 'ERR_NODEPOLL_NESTJS_UNSENDABLE'],
  )
  t.is(await firstValueFrom(client.send('sum', [1])), 1)
})

test('a request that cannot be sent is an error of its caller', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port, { messageMax: 65_536 })
  await client.connect()
  const send = (value: unknown) => firstValueFrom(client.send('same', value))
  await t.throwsAsync(send('x'.repeat(70_000)), { code: 'ERR_OUT_OF_RANGE' })
  await t.throwsAsync(send(1n), { instanceOf: TypeError })
  t.is(await send('x'), 'x')
})

test.serial('events arrive in order, and no reply is waited for', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  state.heard.length = 0
  const count = 500
  const emitted = Array.from({ length: count }, (_, at) =>
    lastValueFrom(client.emit('said', { at }), { defaultValue: undefined }),
  )
  await within(Promise.all(emitted), 'all events to be sent')
  await eventually(() => state.heard.length === count, 'all events')
  t.deepEqual(
    state.heard,
    Array.from({ length: count }, (_, at) => ({ at })),
  )
})

test('handlers, guards and interceptors run within the hooks of a request', async (t) => {
  const ended = deferred()
  const seen: unknown[] = []
  class Seer implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      const rpc = context.switchToRpc().getContext<NodepollContext>()
      seen.push([context.getType(), rpc.getPattern(), store.getStore()])
      return next.handle().pipe(map((value: object) => ({ ...value, intercepted: true })))
    }
  }
  const { port, server } = await startService(t, TestModule, {}, (app) => {
    app.useGlobalInterceptors(new Seer())
  })
  server.setOnProcessingStartHook((transport, context, done) => {
    t.is(transport, NODEPOLL_TRANSPORT)
    store.run((context as NodepollContext).getPattern().toUpperCase(), done)
  })
  server.setOnProcessingEndHook(() => ended.resolve())
  const client = makeClient(t, port)
  const reply = await firstValueFrom(client.send('context', {}))
  const expected = { pattern: 'context', family: 'IPv4', store: 'CONTEXT', intercepted: true }
  t.deepEqual(reply, expected)
  t.deepEqual(seen, [['rpc', 'context', 'CONTEXT']])
  await within(ended.promise, 'the hook at the end')
})

test('who has too many calls under way is refused, and not cut off', async (t) => {
  const { port } = await startService(t, TestModule, { callsMax: 2 })
  const client = makeClient(t, port)
  const streams = [client.send('count', 0), client.send('count', 0)].map((each) => each.subscribe())
  const error = await failureOf(firstValueFrom(client.send('sum', [1])))
  t.is((error as TransportError).code, 'ERR_NODEPOLL_NESTJS_TOO_MANY_CALLS')
  for (const stream of streams) stream.unsubscribe()
  t.is(await firstValueFrom(client.send('sum', [1])), 1)
})

test('status tells of the connection, and what nobody serves fails with its reason', async (t) => {
  const { app, port, server } = await startService(t, TestModule)
  const client = makeClient(t, port, { retryAttempts: 1, retryDelayMs: 1 })
  const states: string[] = []
  client.status.subscribe((each) => states.push(each))
  await client.connect()
  t.is(await firstValueFrom(server.status), 'connected')
  await app.close()
  t.is(await firstValueFrom(server.status), 'disconnected')
  await eventually(() => states.length === 2, 'the end of the connection')
  t.deepEqual(states, ['connected', 'disconnected'])
  await t.throwsAsync(firstValueFrom(client.send('sum', [1])), { code: 'ECONNREFUSED' })
  await t.throwsAsync(lastValueFrom(client.emit('said', 1)), { code: 'ECONNREFUSED' })
})

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return within(
    promise.then(
      () => Promise.reject(new Error('it was expected to fail')),
      (error: unknown) => error,
    ),
    'a failure',
  )
}
