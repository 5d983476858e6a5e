import { Controller, Module } from '@nestjs/common'
import { ClientTCP, EventPattern, MessagePattern, Payload } from '@nestjs/microservices'
import type { NodepollServer, TransportError } from '@nodepoll/nestjs'
import test from 'ava'
import { serve, type Server } from 'nodepoll'
import { firstValueFrom, lastValueFrom, NEVER } from 'rxjs'

import { type Deferred, deferred, eventually, within } from '../../testing/waiting.ts'
import { makeClient, startService } from './helpers.ts'

const gates = new Map<string, Deferred<void>>()
const begun = new Set<string>()
let events = 0

@Controller()
class TestController {
  @MessagePattern('wait')
  async wait(@Payload() name: string) {
    begun.add(name)
    await gates.get(name)?.promise
    return `${name} is answered`
  }

  @MessagePattern('never')
  never() {
    return NEVER
  }

  @MessagePattern('echo')
  echo(@Payload() value: unknown) {
    return value
  }

  @EventPattern('event')
  event() {
    events++
  }
}

@Module({ controllers: [TestController] })
class TestModule {}

function gate(name: string): Deferred<void> {
  const made = deferred()
  gates.set(name, made)
  return made
}

test('close() answers what is under way, and what is new goes to the next server', async (t) => {
  const { resolve: open } = gate('slow')
  const first = await startService(t, TestModule, { reusePort: true })
  const client = makeClient(t, first.port, { retryDelayMs: 5 })
  const slow = firstValueFrom(client.send('wait', 'slow'))
  await eventually(() => begun.has('slow'), 'the call')
  const closed = first.app.close()
  await eventually(() => !isListening(first.server), 'the end of listening')
  const second = await startService(t, TestModule, { port: first.port, reusePort: true })
  t.is(await within(firstValueFrom(client.send('echo', 'new')), 'a new call'), 'new')
  t.is(second.server.unwrap<Server>().loop.connectionCount, 1)
  open()
  t.is(await within(slow, 'the call under way'), 'slow is answered')
  await within(closed, 'close()')
})

/** `unwrap` has nothing more to give once it is closing. */
function isListening(server: NodepollServer): boolean {
  try {
    server.unwrap()
    return true
  } catch {
    return false
  }
}

test('a server is replaced ten times under load, and no call and no event is lost', async (t) => {
  let current = await startService(t, TestModule, { reusePort: true })
  const { port } = current
  const clients = Array.from({ length: 4 }, () => makeClient(t, port, { retryDelayMs: 2 }))
  const before = events
  const ending = new AbortController()
  let answered = 0
  let emitted = 0
  const loads = clients.flatMap((client) =>
    Array.from({ length: 8 }, async () => {
      while (!ending.signal.aborted) {
        const value = ++emitted
        await lastValueFrom(client.emit('event', value), { defaultValue: undefined })
        t.is(await firstValueFrom(client.send('echo', value)), value)
        answered++
      }
    }),
  )
  for (let round = 0; round < 10; round++) {
    const goal = answered + 200
    const next = await startService(t, TestModule, { reusePort: true, port })
    await within(current.app.close(), 'close()')
    current = next
    await eventually(() => answered >= goal, 'further replies')
  }
  ending.abort()
  await within(Promise.all(loads), 'the end of the load')
  await eventually(() => events - before === emitted, `${emitted} events`)
  t.true(answered > 2000)
})

test("close() answers what Nest's own client has under way and refuses the rest", async (t) => {
  const { resolve: open } = gate('tcp')
  const { app, port, server } = await startService(t, TestModule, { protocol: 'tcp' })
  const client = new ClientTCP({ host: '127.0.0.1', port })
  t.teardown(() => client.close())
  const slow = firstValueFrom(client.send('wait', 'tcp'))
  await eventually(() => begun.has('tcp'), 'the call')
  const closed = app.close()
  await eventually(() => !isListening(server), 'the end of listening')
  const refused = await within(
    firstValueFrom(client.send('echo', 1)).catch((error: unknown) => error),
    'a refusal',
  )
  t.is((refused as TransportError).code, 'ERR_NODEPOLL_NESTJS_SERVER_CLOSING')
  open()
  t.is(await within(slow, 'the call under way'), 'tcp is answered')
  await within(closed, 'close()')
})

test('close() cuts off at its deadline what does not end, and its caller is told', async (t) => {
  const { app, port } = await startService(t, TestModule, { closeDeadlineMs: 50 })
  const client = makeClient(t, port, { retryAttempts: 0 })
  const never = firstValueFrom(client.send('never', 1)).catch((error: unknown) => error)
  t.is(await firstValueFrom(client.send('echo', 1)), 1)
  await within(app.close(), 'close()')
  const error = await within(never, 'the failure of the call')
  t.is((error as TransportError).code, 'ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED')
})

test('close() of a client fails its calls at once, and a later call connects anew', async (t) => {
  const { port } = await startService(t, TestModule)
  const client = makeClient(t, port)
  const never = firstValueFrom(client.send('never', 1)).catch((error: unknown) => error)
  t.is(await firstValueFrom(client.send('echo', 1)), 1)
  await client.close()
  const error = await within(never, 'the failure of the call')
  t.is((error as TransportError).code, 'ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED')
  t.is(await firstValueFrom(client.send('echo', 'again')), 'again')
})

test('close() of a client ends its attempts to connect', async (t) => {
  const free = await serve({ host: '127.0.0.1' })
  const { port } = free.address
  await free.shutdown()
  const client = makeClient(t, port, { retryAttempts: 1000, retryDelayMs: 60_000 })
  const call = firstValueFrom(client.send('echo', 1)).catch((error: unknown) => error)
  await new Promise((resolve) => setImmediate(resolve))
  await client.close()
  const error = await within(call, 'the failure of the call')
  t.is((error as TransportError).code, 'ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED')
})

test('a client dials again until the server is there', async (t) => {
  const free = await serve({ host: '127.0.0.1' })
  const { port } = free.address
  await free.shutdown()
  const client = makeClient(t, port, { retryAttempts: 100, retryDelayMs: 1 })
  const early = firstValueFrom(client.send('echo', 'early'))
  await new Promise((resolve) => setImmediate(resolve))
  await startService(t, TestModule, { port })
  t.is(await within(early, 'the reply'), 'early')
})

test('a port that is taken is an error of listen()', async (t) => {
  const { port } = await startService(t, TestModule)
  await t.throwsAsync(startService(t, TestModule, { port }), { code: 'EADDRINUSE' })
})
