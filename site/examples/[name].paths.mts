// The sources of the examples, a page each.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { pageOfExample } from '../.vitepress/files.mts'

const root = fileURLToPath(new URL('../..', import.meta.url))

export default {
  paths() {
    return sourcesUnder('examples').map((path) => ({
      params: { name: pageOfExample(path), path },
      content: `\`\`\`js\n${readFileSync(root + path, 'utf8')}\`\`\``,
    }))
  },
}

function sourcesUnder(folder: string): string[] {
  return readdirSync(root + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return sourcesUnder(path)
    return path.endsWith('.mjs') ? [path] : []
  })
}
