// Builds the package of the current folder: dist/ from lib/, with an entry for each module format.
// Before that it puts this repository in the place of `nodepoll`, which the package has as a peer:
// npm would install the development packages of a linked folder, and a copy would be outdated.
//
//   node ../build.mjs
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const link = 'node_modules/nodepoll'

// As for nodepoll itself: every Node that it supports can require an ES module.
const commonJsEntry = "module.exports = require('./index.js')\n"
const commonJsTypes = "import all = require('./index.js')\nexport = all\n"

if (resolve(root) === process.cwd()) fail('Run this in the folder of a package.')
if (!existsSync(join(root, 'dist/index.js'))) fail('nodepoll is not built: `npm run setup` there.')
if (!existsSync('node_modules')) fail('There are no packages here: `npm ci` first.')
if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync(root, link, 'junction')

rmSync('dist', { recursive: true, force: true })
const tsc = join(root, 'node_modules/typescript/bin/tsc')
const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  stdio: 'inherit',
})
if (compiled.status !== 0) process.exit(1)
mkdirSync('dist', { recursive: true })
writeFileSync('dist/index.cjs', commonJsEntry)
writeFileSync('dist/index.d.cts', commonJsTypes)

function fail(message) {
  console.error(message)
  process.exit(1)
}
