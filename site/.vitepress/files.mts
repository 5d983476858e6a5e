// Links of the documents to files that are no documents: the sources of examples have pages here,
// and so has the license.
import { posix } from 'node:path'

import type { MarkdownRenderer } from 'vitepress'

/** What VitePress knows of a document while it is rendered. */
interface Environment {
  /** Where it stands in the repository. */
  readonly relativePath: string
}

/** The name of the page of an example, without slashes: `rpc-service` for `rpc/service.mjs`. */
export function pageOfExample(path: string): string {
  return path.replace('examples/', '').replace('.mjs', '').replaceAll('/', '-')
}

export function linkFiles(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('files', (state) => {
    const { relativePath } = state.env as Environment
    for (const token of state.tokens.flatMap(({ children }) => children ?? [])) {
      if (token.type !== 'link_open') continue
      const href = token.attrGet('href') ?? ''
      const path = posix.join(posix.dirname(relativePath), href)
      // In place of the README there is the front page.
      if (/^README\.md(#|$)/.test(path)) token.attrSet('href', '/')
      if (/^(\w+:|#|\/)|\.md(#|$)/.test(href)) continue
      token.attrSet('href', targetOf(path, relativePath))
    }
  })
}

function targetOf(path: string, from: string): string {
  if (/^examples\/.*\.mjs$/.test(path)) return `/examples/${pageOfExample(path)}`
  if (path === 'LICENSE') return '/license'
  throw new Error(`${from} leads to ${path}, which has no page on the site`)
}
