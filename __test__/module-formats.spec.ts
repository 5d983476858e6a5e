import { createRequire } from 'node:module'

import test from 'ava'
import { NodepollError } from 'nodepoll'
import { RpcError } from 'nodepoll/rpc'

import { runChild } from './helpers/child.ts'
import { entries, exportsOf } from './helpers/exports.ts'

type Module = Readonly<Record<string, unknown>>

for (const entry of entries()) {
  test(`${entry} exports the values that are listed, in both formats`, async (t) => {
    const imported = (await import(entry)) as Module
    const required = createRequire(import.meta.url)(entry) as Module
    const names = exportsOf[entry]?.values.toSorted()
    t.deepEqual(Object.keys(imported).toSorted(), names)
    t.deepEqual(
      Object.keys(required)
        .filter((name) => name !== '__esModule')
        .toSorted(),
      names,
    )
    for (const name of names ?? []) t.is(required[name], imported[name], name)
  })
}

test('errors of remote calls are errors of nodepoll', (t) => {
  t.true(RpcError.prototype instanceof NodepollError)
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
