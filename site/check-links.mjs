// Whether each link of the built site, and each anchor, leads to something. Links to
// other sites are left alone: whether they work is not ours to say.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { Parser } from 'htmlparser2'

const dist = fileURLToPath(new URL('dist', import.meta.url))
const base = process.env.SITE_BASE ?? '/'
const origin = 'http://site'

/** Attributes that lead somewhere. */
const attributes = ['href', 'src']

const pages = new Map(
  readdirSync(dist, { recursive: true })
    .filter((path) => /\.(html|svg)$/.test(path))
    .map((path) => [path, read(path)]),
)

let linkCount = 0
const dead = new Set()
for (const [path, { links }] of pages) {
  for (const link of links) {
    const url = new URL(link, `${origin}${base}${path}`)
    if (url.origin !== origin) continue
    linkCount += 1
    if (!isAlive(url)) dead.add(`${path} leads to ${link}`)
  }
}
for (const each of dead) console.error(each)
console.log(`${linkCount} links on ${pages.size} pages, ${dead.size} of them dead`)
process.exitCode = dead.size > 0 || linkCount === 0 ? 1 : 0

/** What a page leads to, and the anchors that lead to it. */
function read(path) {
  const links = []
  const anchors = new Set()
  const parser = new Parser({
    onopentag(_, found) {
      if (found.id !== undefined) anchors.add(found.id)
      links.push(...attributes.map((name) => found[name]).filter((link) => link !== undefined))
    },
  })
  parser.end(readFileSync(`${dist}/${path}`, 'utf8'))
  return { links, anchors }
}

function isAlive({ pathname, hash }) {
  if (!pathname.startsWith(base)) return false
  const path = decodeURI(pathname.slice(base.length))
  const file = path === '' || path.endsWith('/') ? `${path}index.html` : path
  const place = `${dist}/${file}`
  if (!existsSync(place) || !statSync(place).isFile()) return false
  return hash === '' || (pages.get(file)?.anchors.has(decodeURIComponent(hash.slice(1))) ?? false)
}
