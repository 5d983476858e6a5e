import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import * as module from '@nodepoll/moleculer'
import test from 'ava'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('..', import.meta.url))
const shell = process.platform === 'win32'
const isExpected = (path: string) => /^dist\/[\w-]+\.(?:d\.ts|d\.cts|js|js\.map|cjs)$/.test(path)

function read(path: string): Manifest {
  return JSON.parse(readFileSync(join(folder, path), 'utf8')) as Manifest
}

test('the package has what is built, its README and its licence, and no more', async (t) => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const { stdout } = await run('npm', args, { cwd: folder, shell })
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  t.deepEqual(paths.filter((path) => !isExpected(path)).toSorted(), [
    'LICENSE',
    'README.md',
    'package.json',
  ])
  for (const name of ['index.js', 'index.cjs', 'index.d.ts', 'index.d.cts']) {
    t.true(paths.includes(`dist/${name}`), name)
  }
})

test('publint has nothing to say', async (t) => {
  const publint = fileURLToPath(
    new URL('../../../node_modules/publint/src/cli.js', import.meta.url),
  )
  const { stdout } = await run(process.execPath, [publint, 'run', '--strict', '--pack=npm'], {
    cwd: folder,
  })
  t.regex(stdout, /All good!/)
})

test('both module formats give the same classes', (t) => {
  const required = createRequire(import.meta.url)('@nodepoll/moleculer') as typeof module
  t.is(required.NodepollTransporter, module.NodepollTransporter)
  t.deepEqual(Object.keys(required).toSorted(), Object.keys(module).toSorted())
  t.deepEqual(Object.keys(module).toSorted(), ['NodepollTransporter', 'TransporterError'])
})

test('version and licence are those of nodepoll, which is a peer of that version', (t) => {
  const own = read('package.json')
  const root = read('../../package.json')
  t.is(own.version, root.version)
  t.is(own.license, root.license)
  t.deepEqual(own.engines, root.engines)
  t.is(own.peerDependencies?.['nodepoll'], `^${root.version}`)
})

interface Manifest {
  readonly version: string
  readonly license: string
  readonly engines: unknown
  readonly peerDependencies?: Record<string, string>
}
