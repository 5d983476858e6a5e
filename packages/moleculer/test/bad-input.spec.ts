import test from 'ava'

import { rawPeer } from '../../testing/network.ts'
import { eventually, within } from '../../testing/waiting.ts'
import { portOf, startNode } from './helpers.ts'

function frame(type: number, text: string): Buffer {
  const header = Buffer.alloc(5)
  header.writeUInt32BE(Buffer.byteLength(text) + 1)
  header[4] = type
  return Buffer.concat([header, Buffer.from(text)])
}

const MALFORMED = 'ERR_NODEPOLL_MOLECULER_MALFORMED_FRAME'
const hello = { version: 1, nodeID: 'x', instanceID: '1', prefix: 'MOL' }

const cases: [name: string, bytes: Buffer, code: string][] = [
  ['an unknown type', frame(99, '{}'), MALFORMED],
  ['an empty frame', Buffer.alloc(4), MALFORMED],
  ['an introduction that is no JSON', frame(0, '{'), MALFORMED],
  ['an introduction that is null', frame(0, 'null'), MALFORMED],
  ['another version', frame(0, JSON.stringify({ ...hello, version: 2 })), MALFORMED],
  ['no name', frame(0, JSON.stringify({ ...hello, nodeID: 1 })), MALFORMED],
  [
    'another namespace',
    frame(0, JSON.stringify({ ...hello, prefix: 'MOL-other' })),
    'ERR_NODEPOLL_MOLECULER_NAMESPACE',
  ],
  [
    'a name that is taken',
    frame(0, JSON.stringify({ ...hello, nodeID: 'b' })),
    'ERR_NODEPOLL_MOLECULER_NODE_ID_TAKEN',
  ],
  ['a packet without an introduction', frame(2, '{}'), 'ERR_NODEPOLL_MOLECULER_NO_HELLO'],
  ['an oversized frame', Buffer.from([0, 1, 0, 2]), 'ERR_NODEPOLL_FRAME_LIMIT'],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'ERR_NODEPOLL_MOLECULER_HTTP_PEER'],
]

for (const [name, bytes, code] of cases) {
  test(`${name} is a named error and ends that connection, and no other`, async (t) => {
    const service = { name: 'one', actions: { two: () => 2 } }
    const b = await startNode(t, 'b', { packetMax: 65_536 }, [service])
    const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${portOf(b)}`] })
    await within(a.broker.waitForServices('one'), 'the service')
    const bad = await rawPeer(t, portOf(b))
    bad.socket.write(bytes)
    await bad.all
    await eventually(() => b.errors.length > 0, 'the report')
    t.deepEqual(
      b.errors.map((error) => error.code),
      [code],
    )
    t.is(await a.broker.call('one.two'), 2)
  })
}

test('packets that are no packets of Moleculer disturb nobody', async (t) => {
  const b = await startNode(t, 'b', {}, [{ name: 'one', actions: { two: () => 2 } }])
  const bad = await rawPeer(t, portOf(b))
  bad.socket.write(frame(0, JSON.stringify(hello)))
  for (let type = 1; type < 10; type++) bad.socket.write(frame(type, 'no JSON'))
  const a = await startNode(t, 'a', { nodes: [`127.0.0.1:${portOf(b)}`] })
  await within(a.broker.waitForServices('one'), 'the service')
  t.is(await a.broker.call('one.two'), 2)
  t.deepEqual(b.errors, [])
})
