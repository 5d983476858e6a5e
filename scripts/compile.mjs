// Makes dist/ of a package from its lib/: the compiled TypeScript, and an entry for CommonJS beside
// each of its entries.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { entriesOf, readManifest, root } from './packages.mjs'

// Every Node that `engines` allows can require an ES module, so that both formats share one copy
// of the code: an instance made through one is an instance for the other.
const commonJsEntry = "module.exports = require('./index.js')\n"
const commonJsTypes = "import all = require('./index.js')\nexport = all\n"

/** Compiles what is in `folder`. Whether there was nothing wrong, else the compiler has said it. */
export function compile(folder) {
  const dist = join(folder, 'dist')
  rmSync(dist, { recursive: true, force: true })
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: folder,
    stdio: 'inherit',
  })
  if (status !== 0) return false
  for (const entry of entriesOf(readManifest(folder))) {
    const place = join(dist, entry.folder)
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, 'index.cjs'), commonJsEntry)
    writeFileSync(join(place, 'index.d.cts'), commonJsTypes)
  }
  return true
}
