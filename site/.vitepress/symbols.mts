// Names in the text become links: `serve()`, `Connection` and `writer.drained()` to the reference,
// `ERR_NODEPOLL_EOF` to the page of errors.
import { readFileSync } from 'node:fs'

import type { MarkdownRenderer } from 'vitepress'

/** What typedoc writes of an entry point, of what that exports, or of a member of that. */
interface Reflection {
  readonly name: string
  readonly kind: number
  readonly children?: readonly Reflection[]
}

/** What typedoc calls kinds, and the folders in which it puts their pages. */
const folders: Record<number, string> = {
  64: 'functions',
  128: 'classes',
  256: 'interfaces',
  2097152: 'types',
}

/** What objects of a class are called in the documents. */
const variables: Record<string, string> = {
  connection: 'Connection',
  frames: 'Framing',
  input: 'LinkBuffer',
  listener: 'Listener',
  loop: 'EventLoop',
  reader: 'Reader',
  server: 'Server',
  writer: 'Writer',
}

/** `reference` is the file in which typedoc has written all names as JSON. */
export function linkSymbols(markdown: MarkdownRenderer, base: string, reference: string): void {
  const { children = [] } = JSON.parse(readFileSync(reference, 'utf8')) as Reflection
  const symbols = new Map(
    children.flatMap((entry) =>
      (entry.children ?? []).map((each) => [each.name, { entry: entry.name, ...each }]),
    ),
  )

  const find = (code: string): string | undefined => {
    if (/^ERR_NODEPOLL_\w+$/.test(code)) return `docs/errors.html#${code.toLowerCase()}`
    const [, owner, member] = /^(\w+)(?:\.(\w+))?(?:\([^)]*\))?$/.exec(code) ?? []
    const symbol = symbols.get(member === undefined ? owner : (variables[owner] ?? owner))
    // A second name of something has no page.
    if (symbol === undefined || folders[symbol.kind] === undefined) return undefined
    const page = `api/${folders[symbol.kind]}/${symbol.entry}.${symbol.name}.html`
    if (member === undefined) return page
    const isThere = symbol.children?.some(({ name }) => name === member)
    return isThere ? `${page}#${member.toLowerCase()}` : undefined
  }

  const { code_inline: render } = markdown.renderer.rules
  markdown.renderer.rules.code_inline = (tokens, index, options, env, self) => {
    const html = render?.(tokens, index, options, env, self) ?? ''
    const count = (type: string) =>
      tokens.slice(0, index).filter((each) => each.type === type).length
    const isInLink = count('link_open') > count('link_close')
    const target = isInLink ? undefined : find(tokens[index].content)
    if (target === undefined) return html
    // The reference is no part of the application that VitePress makes.
    const own = target.startsWith('api/') ? ' target="_self"' : ''
    return `<a class="symbol" href="${base}${target}"${own}>${html}</a>`
  }
}
