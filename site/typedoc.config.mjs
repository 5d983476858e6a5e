// The reference: made from the comments in lib/, in the theme of typedoc, beside the pages that
// VitePress makes. Every warning ends the build: all that is public has a comment, and no link in
// one leads nowhere.
import { entriesOf, readManifest, root } from '../scripts/packages.mjs'

const base = process.env.SITE_BASE ?? '/'

/** @type {import('typedoc').TypeDocOptions} */
export default {
  name: 'nodepoll',
  entryPoints: entriesOf(readManifest(root)).map(({ folder }) => `../lib/${folder}index.ts`),
  tsconfig: '../tsconfig.build.json',
  out: 'public/api',
  json: 'public/api/api.json',
  readme: 'none',
  customCss: 'typedoc.css',
  navigationLinks: { Guide: `${base}docs/guide/first-server.html`, Home: base },
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  disableSources: true,
  hideGenerator: true,
  searchInComments: true,
  sort: ['kind', 'alphabetical'],
  validation: { notExported: true, invalidLink: true, notDocumented: true },
  treatWarningsAsErrors: true,
}
