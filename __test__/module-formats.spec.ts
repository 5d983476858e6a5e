import { createRequire } from 'node:module'

import test from 'ava'
import * as nodepoll from 'nodepoll'
import * as rpc from 'nodepoll/rpc'
import * as stream from 'nodepoll/stream'

import { runChild } from './helpers/child.ts'

/** What the package exports at run time. Adding to it is a decision: see `docs/api.md`. */
const values = [
  'NodepollError',
  'LinkBuffer',
  'configure',
  'createEventLoop',
  'createListener',
  'delimited',
  'dial',
  'fixedSize',
  'isNodepollError',
  'lengthPrefixed',
  'serve',
  'stats',
]

/** The same of `nodepoll/stream`. */
const streamValues = [
  'Server',
  'Socket',
  'attach',
  'connect',
  'createConnection',
  'createServer',
  'toDuplex',
  'toWeb',
]

const entries = [
  ['nodepoll', nodepoll, values],
  ['nodepoll/stream', stream, streamValues],
] as const

for (const [entry, imported, expected] of entries) {
  test(`${entry} exports these values, and no others`, (t) => {
    t.deepEqual(Object.keys(imported).toSorted(), expected.toSorted())
  })

  test(`require() and import of ${entry} give the same objects`, (t) => {
    const required = createRequire(import.meta.url)(entry) as Record<string, unknown>
    t.deepEqual(
      Object.keys(required)
        .filter((name) => name !== '__esModule')
        .toSorted(),
      expected.toSorted(),
    )
    for (const name of expected) {
      t.is(required[name], (imported as unknown as Record<string, unknown>)[name], name)
    }
  })
}

test('the entry for remote calls exports these values, by require() and import alike', (t) => {
  const names = [
    'RpcError',
    'bytesCodec',
    'connectRpc',
    'jsonCodec',
    'messagePackCodec',
    'serveRpc',
  ]
  t.deepEqual(Object.keys(rpc).toSorted(), names)
  const required = createRequire(import.meta.url)('nodepoll/rpc') as Record<string, unknown>
  for (const name of names) {
    t.is(required[name], (rpc as unknown as Record<string, unknown>)[name], name)
  }
  t.true(rpc.RpcError.prototype instanceof nodepoll.NodepollError)
})

test('the package works when only CommonJS loads it', async (t) => {
  const outcome = await runChild(
    t,
    `
    import { createRequire } from 'node:module'
    const { dial, serve, NodepollError } = createRequire(process.cwd() + '/x.cjs')('nodepoll')
    const server = await serve({ host: '127.0.0.1', port: 0 })
    const connection = await dial({ host: '127.0.0.1', port: server.address.port })
    await connection.close()
    await server.shutdown()
    const { NodepollError: imported } = await import('nodepoll')
    console.log(imported === NodepollError)
    `,
  )
  t.is(outcome.code, 0)
  t.is(outcome.stdout, 'true\n')
  t.is(outcome.stderr, '')
})

test('package.json is exported, internals are not', (t) => {
  const require = createRequire(import.meta.url)
  t.is((require('nodepoll/package.json') as { name: string }).name, 'nodepoll')
  t.throws(() => require.resolve('nodepoll/dist/internal/runtime.js'), {
    code: 'ERR_PACKAGE_PATH_NOT_EXPORTED',
  })
})
