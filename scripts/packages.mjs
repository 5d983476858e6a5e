// What is published from this repository: nodepoll with its entries, which its package.json alone
// lists, the libraries of the platforms, and the packages for frameworks.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

export function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** The folders of the platform packages, by platform: `linux-x64-gnu` … */
export function platformFolders() {
  return packagesIn('npm')
}

/** The folders of the packages for frameworks, by framework: `nestjs` … */
export function frameworkFolders() {
  return packagesIn('packages')
}

function packagesIn(folder) {
  const names = readdirSync(join(root, folder)).toSorted()
  const folders = names.map((name) => [name, join(root, folder, name)])
  return new Map(folders.filter(([, path]) => existsSync(join(path, 'package.json'))))
}

/**
 * The entries of a package: the name by which each is imported, and the folder below `lib/` and
 * `dist/` that has its index, as `''` or `'rpc/'`.
 */
export function entriesOf({ name, exports }) {
  return Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => path.slice('./'.length))
    .map((part) => (part === '' ? { name, folder: '' } : entryIn(name, part)))
}

function entryIn(name, part) {
  return { name: `${name}/${part}`, folder: `${part}/` }
}
