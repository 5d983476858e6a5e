import { type EventEmitter, once } from 'node:events'

import type { ExecutionContext } from 'ava'
import { connect, Socket } from 'nodepoll/stream'

import { deferred, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { testWith } from './helpers/real-server.ts'
import { untyped } from './helpers/untyped.ts'

interface Client extends EventEmitter {
  readonly stream: Socket
  subscribeAsync(topic: string, options?: object): Promise<{ qos: number }[]>
  publishAsync(topic: string, text: string | Buffer, options?: object): Promise<unknown>
  endAsync(): Promise<void>
}

interface Packet {
  readonly qos: number
  readonly retain: boolean
}

const { MqttClient } = untyped<{
  MqttClient: new (build: () => unknown, options: object) => Client
}>('mqtt')

/** A client over sockets of ours, until the test ends. */
async function client(t: ExecutionContext, port: number, options: object = {}): Promise<Client> {
  const made = new MqttClient(() => connect(port, '127.0.0.1'), { reconnectPeriod: 0, ...options })
  t.teardown(() => made.stream.destroy())
  await within(once(made, 'connect'), 'a session')
  t.true(made.stream instanceof Socket)
  return made
}

/** The messages that a client gets; it resolves when there are so many. */
function messages(subscriber: Client, count: number): Promise<[string, Buffer, Packet][]> {
  const all: [string, Buffer, Packet][] = []
  const last = deferred<[string, Buffer, Packet][]>()
  subscriber.on('message', (topic: string, payload: Buffer, packet: Packet) => {
    if (all.push([topic, payload, packet]) === count) last.resolve(all)
  })
  return within(last.promise, `${count} messages`)
}

const onMosquitto = testWith('mosquitto')

for (const qos of [0, 1, 2]) {
  onMosquitto(`mqtt: 200 messages of quality ${qos} come in order`, async (t, port) => {
    await leakCheck(t)
    const [subscriber, publisher] = await Promise.all([client(t, port), client(t, port)])
    const topic = `order/${qos}`
    t.is((await subscriber.subscribeAsync(topic, { qos }))[0]?.qos, qos)
    const heard = messages(subscriber, 200)
    const texts = Array.from({ length: 200 }, (_, index) => `${index}`)
    await within(
      Promise.all(texts.map((text) => publisher.publishAsync(topic, text, { qos }))),
      'all acknowledgements',
    )
    t.deepEqual(
      (await heard).map(([, payload, packet]) => [String(payload), packet.qos]),
      texts.map((text) => [text, qos]),
    )
    await within(Promise.all([subscriber.endAsync(), publisher.endAsync()]), 'the end')
  })
}

onMosquitto('mqtt: a message that is retained reaches who comes later', async (t, port) => {
  await leakCheck(t)
  const publisher = await client(t, port)
  await publisher.publishAsync('state/light', 'on', { qos: 1, retain: true })
  const subscriber = await client(t, port)
  const heard = messages(subscriber, 1)
  await subscriber.subscribeAsync('state/#')
  const [[topic, payload, packet] = []] = await heard
  t.deepEqual([topic, String(payload), packet?.retain], ['state/light', 'on', true])
  await within(Promise.all([subscriber.endAsync(), publisher.endAsync()]), 'the end')
})

onMosquitto('mqtt: a payload of 20 MiB goes both ways', async (t, port) => {
  await leakCheck(t)
  const both = await client(t, port)
  await both.subscribeAsync('large', { qos: 1 })
  const heard = messages(both, 1)
  const payload = Buffer.alloc(20 * 1024 * 1024, 'a payload of many nodes ')
  await within(both.publishAsync('large', payload, { qos: 1 }), 'an acknowledgement')
  t.true((await heard)[0]?.[1].equals(payload))
  await within(both.endAsync(), 'the end')
})

onMosquitto(
  'mqtt: the will of a client whose socket is destroyed is published',
  async (t, port) => {
    await leakCheck(t)
    const subscriber = await client(t, port)
    await subscriber.subscribeAsync('will', { qos: 1 })
    const heard = messages(subscriber, 1)
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false }
    const dying = await client(t, port, { will })
    dying.stream.destroy()
    t.is(String((await heard)[0]?.[1]), 'gone')
    await within(subscriber.endAsync(), 'the end')
  },
)

onMosquitto('mqtt: a client takes up its session over a new socket', async (t, port) => {
  await leakCheck(t)
  const kept = { clientId: 'kept', clean: false, reconnectPeriod: 20 }
  const [subscriber, publisher] = await Promise.all([client(t, port, kept), client(t, port)])
  await subscriber.subscribeAsync('kept', { qos: 1 })
  const first = subscriber.stream
  const heard = messages(subscriber, 1)
  const again = once(subscriber, 'connect')
  first.destroy()
  await publisher.publishAsync('kept', 'meanwhile', { qos: 1 })
  const [{ sessionPresent }] = (await within(again, 'a session')) as [{ sessionPresent: boolean }]
  t.true(sessionPresent)
  t.is(String((await heard)[0]?.[1]), 'meanwhile')
  t.not(subscriber.stream, first)
  await within(Promise.all([subscriber.endAsync(), publisher.endAsync()]), 'the end')
})
