// Builds dist/ from lib/: the compiled TypeScript, the native binding, the CommonJS entries.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { compile } from './compile.mjs'
import { root } from './packages.mjs'

if (!compile(root)) process.exit(1)

// The compiler takes no notice of the files the native build has written.
const source = join(root, 'lib/native')
const target = join(root, 'dist/native')
mkdirSync(target, { recursive: true })
for (const name of readdirSync(source)) {
  if (name !== 'binding.d.cts' && !name.endsWith('.node')) continue
  copyFileSync(join(source, name), join(target, name))
}
