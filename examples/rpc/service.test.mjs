// What the service promises, against a server and clients in this process.
//
//   node --test service.test.mjs
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Client } from './client.mjs'
import { METHOD_NOT_FOUND, STOPPING } from './protocol.mjs'
import { startService } from './service.mjs'

const methods = new Map([
  ['add', ([a, b]) => a + b],
  ['wait', ([name]) => new Promise((resolve) => gates.set(name, resolve))],
])
const gates = new Map()

async function start(t) {
  const service = await startService(methods, { host: '127.0.0.1', port: 0 })
  const client = await Client.connect({ host: '127.0.0.1', port: service.address.port })
  t.after(() => Promise.all([client.close(), service.stop(1000).catch(() => {})]))
  return { service, client }
}

test('a quick call overtakes a slow one', async (t) => {
  const { client } = await start(t)
  const slow = client.call('wait', ['slow'])
  assert.equal(await client.call('add', [2, 3]), 5)
  gates.get('slow')('at last')
  assert.equal(await slow, 'at last')
})

test('what does not exist is an error of its call alone', async (t) => {
  const { client } = await start(t)
  await assert.rejects(client.call('none'), { code: METHOD_NOT_FOUND })
  assert.equal(await client.call('add', [1, 1]), 2)
})

test('stop() finishes what is under way and refuses what is new', async (t) => {
  const { client, service } = await start(t)
  const slow = client.call('wait', ['slow'])
  await client.call('add', [0, 0]) // so that the slow one has come
  const stopped = service.stop(5000)
  await assert.rejects(client.call('add', [1, 1]), { code: STOPPING })
  gates.get('slow')('still answered')
  assert.equal(await slow, 'still answered')
  await stopped
})
