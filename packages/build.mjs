// Builds the package of the current folder: dist/ from lib/, with an entry for each module format.
// Before that it puts this repository in the place of `nodepoll`, which the package has as a peer:
// npm would install the development packages of a linked folder, and a copy would be outdated.
//
//   node ../build.mjs
import { existsSync, lstatSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { compile } from '../scripts/compile.mjs'
import { root } from '../scripts/packages.mjs'

const link = 'node_modules/nodepoll'

if (resolve(root) === process.cwd()) fail('Run this in the folder of a package.')
if (!existsSync(join(root, 'dist/index.js'))) fail('nodepoll is not built: `npm run setup` there.')
if (!existsSync('node_modules')) fail('There are no packages here: `npm ci` first.')
if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync(root, link, 'junction')
if (!compile(process.cwd())) process.exit(1)

function fail(message) {
  console.error(message)
  process.exit(1)
}
