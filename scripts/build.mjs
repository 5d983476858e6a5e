// Builds dist/ from lib/: the compiled TypeScript, the native binding, the CommonJS entries.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const dist = new URL('dist/', root)

// Every Node that `engines` allows can require an ES module, so that both formats share one copy
// of the code: an instance made through one is an instance for the other.
const commonJsEntry = "module.exports = require('./index.js')\n"
const commonJsTypes = "import nodepoll = require('./index.js')\nexport = nodepoll\n"

/** The folders of dist/ that have an entry. */
const entries = ['', 'rpc/', 'stream/']

rmSync(dist, { recursive: true, force: true })
const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root))
const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (compiled.status !== 0) process.exit(1)

// The compiler takes no notice of the files the native build has written.
mkdirSync(new URL('native/', dist), { recursive: true })
for (const name of readdirSync(new URL('lib/native/', root))) {
  if (name !== 'binding.d.cts' && !name.endsWith('.node')) continue
  copyFileSync(new URL(`lib/native/${name}`, root), new URL(`native/${name}`, dist))
}
for (const folder of entries) {
  writeFileSync(new URL(`${folder}index.cjs`, dist), commonJsEntry)
  writeFileSync(new URL(`${folder}index.d.cts`, dist), commonJsTypes)
}
