// npm run contract: each public name of the package and the tests that use it. Fails if there is
// one that no test uses. It reads the declarations that `npm run build` has made, in which nothing
// internal is left.
import { readdirSync, readFileSync } from 'node:fs'

import { entriesOf, readManifest, root } from './packages.mjs'

const tests = readdirSync(`${root}__test__`)
  // That one lists the names.
  .filter((file) => file.endsWith('.spec.ts') && file !== 'tidy.spec.ts')
  .map((file) => ({ name: file, text: readFileSync(`${root}__test__/${file}`, 'utf8') }))

let count = 0
let missing = 0
for (const [owner, members] of publicNames()) {
  console.log(`\n${owner}`)
  for (const member of members) {
    const used = tests.filter(({ text }) => uses(text, member))
    count += 1
    if (used.length === 0) missing += 1
    const first = used.slice(0, 3).map(({ name }) => name.replace('.spec.ts', ''))
    const more = used.length > 3 ? ` and ${used.length - 3} more` : ''
    console.log(`  ${member.padEnd(24)} ${first.join(', ') || 'NO TEST'}${more}`)
  }
}
console.log(`\n${count} names, ${missing} without a test`)
process.exitCode = missing === 0 ? 0 : 1

/** What is exported, and the members of exported classes and interfaces with those they inherit. */
function publicNames() {
  const names = new Map()
  for (const { name: entry, folder } of entriesOf(readManifest(root))) {
    const exported = exportedNames(`${folder}index.d.ts`)
    // What an entry declares itself is what it exports, whatever else has that name.
    const declared = declarations(['dist', 'dist/internal', `dist/${folder}`])
    names.set(
      entry,
      exported.filter((name) => !name.startsWith('type ')),
    )
    for (const name of exported.map((each) => each.replace('type ', ''))) {
      const members = membersOf(name, declared)
      if (members.length > 0) names.set(`${entry} ${name}`, members)
    }
  }
  return names
}

function exportedNames(path) {
  const index = readFileSync(`${root}dist/${path}`, 'utf8')
  return [...index.matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, type = '', list]) =>
    list
      .split(',')
      .map((name) => name.replace(/\w+ as /, '').trim())
      .filter((name) => name.length > 0)
      .map((name) => type + name),
  )
}

/** Classes and interfaces by name: what they extend, and their text. */
function declarations(folders) {
  const files = folders.flatMap((folder) =>
    readdirSync(root + folder)
      .filter((file) => file.endsWith('.d.ts'))
      .map((file) => `${root}${folder}/${file}`),
  )
  const pattern =
    /^export (?:declare )?(?:abstract )?(?:class|interface) (\w+)([^{]*)\{\n(.*?)^\}/gms
  const all = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(pattern)])
  return new Map(all.map(([, name, head, body]) => [name, { head, body }]))
}

function membersOf(name, declared) {
  const { head, body } = declared.get(name) ?? {}
  if (body === undefined) return []
  const parent = / extends (\w+)/.exec(head)?.[1]
  const member = /^ {4}(?:readonly |get |set |abstract |static )*\*?\[?(\w[\w.]*)\]?[?(:<]/gm
  const own = [...body.matchAll(member)].map(([, found]) => found.replace('Symbol.', ''))
  const inherited = parent === undefined ? [] : membersOf(parent, declared)
  return [...new Set([...inherited, ...own])].filter((each) => each !== 'constructor').toSorted()
}

function uses(text, name) {
  if (new RegExp(`\\b${name}\\b`).test(text)) return true
  // Those of numbers are put together.
  const type = /^(?:read|peek|write)((?:Big)?(?:U?Int|Float|Double)\d*)/.exec(name)?.[1]
  return type !== undefined && text.includes(`'${type}'`) && text.includes('${verb}')
}
