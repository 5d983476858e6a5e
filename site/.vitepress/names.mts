// Blocks that have the name of a file behind their language show it in their corner.
import type { MarkdownRenderer } from 'vitepress'

export function showNames(markdown: MarkdownRenderer): void {
  const { fence: render } = markdown.renderer.rules
  markdown.renderer.rules.fence = (tokens, index, options, env, self) => {
    const html = render?.(tokens, index, options, env, self) ?? ''
    const [language, name] = tokens[index].info.split(' ')
    if (name === undefined) return html
    return html.replace(
      `<span class="lang">${language}</span>`,
      `<span class="lang">${name}</span>`,
    )
  }
}
