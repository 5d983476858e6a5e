import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Plugin } from 'vite'
import { defineConfig } from 'vitepress'

import { linkFiles } from './files.mts'
import { showNames } from './names.mts'
import { linkSymbols } from './symbols.mts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const site = fileURLToPath(new URL('..', import.meta.url))
const base = process.env['SITE_BASE'] ?? '/'

const page = (text: string, link: string) => ({ text, link: `/${link}` })

const learn = [
  page('A first server', 'docs/guide/first-server'),
  page('Who owns the bytes', 'docs/guide/bytes'),
  page('Framing', 'docs/guide/framing'),
  page('Remote calls', 'docs/guide/rpc'),
  page('An RPC service', 'docs/guide/rpc-service'),
  page('Under what you already use', 'docs/guide/streams'),
  page('Microservices', 'docs/guide/microservices'),
]
const integrations = [
  page('node:http, node:https', 'docs/integrations/node-http'),
  page('node:http2', 'docs/integrations/node-http2'),
  page('node:tls', 'docs/integrations/node-tls'),
  page('fastify', 'docs/integrations/fastify'),
  page('express', 'docs/integrations/express'),
  page('ws', 'docs/integrations/ws'),
  page('@grpc/grpc-js', 'docs/integrations/grpc'),
  page('undici', 'docs/integrations/undici'),
  page('ioredis', 'docs/integrations/ioredis'),
  page('pg', 'docs/integrations/pg'),
  page('mysql2', 'docs/integrations/mysql2'),
  page('mqtt', 'docs/integrations/mqtt'),
  page('aedes', 'docs/integrations/aedes'),
  page('thrift', 'docs/integrations/thrift'),
  page('kafkajs', 'docs/integrations/kafkajs'),
]
const production = [
  page('Backpressure', 'docs/guide/backpressure'),
  page('Timeouts', 'docs/guide/timeouts'),
  page('Shutdown', 'docs/guide/shutdown'),
  page('Tuning', 'docs/guide/tuning'),
  page('Observability', 'docs/guide/observability'),
]
const lookUp = [
  page('API at a glance', 'docs/api'),
  { text: 'API reference', link: '/api/', target: '_self' },
  page('Life of a connection', 'docs/lifecycle'),
  page('Errors', 'docs/errors'),
  page('Command line', 'docs/cli'),
  page('Platforms', 'docs/platforms'),
]
const more = [
  page('Examples', 'docs/examples'),
  page('Performance', 'docs/performance'),
  page('From node:net', 'docs/migrating-from-node-net'),
  page('From Go netpoll', 'docs/migrating-from-netpoll'),
  page('Internals', 'docs/internals'),
  page('Architecture', 'ARCHITECTURE'),
  page('Releases', 'docs/releases'),
  page('Changelog', 'CHANGELOG'),
  page('Contributing', 'CONTRIBUTING'),
  page('Security', 'SECURITY'),
].filter(({ link }) => existsSync(join(root, `${link}.md`)))

/** What has no pages, although it may have documents. */
const noPages =
  'README.md .github/** __test__/** .setup/** benchmark/** crates/** lib/** npm/** packages/**'
    .split(' ')
    .concat('target/**', 'testdata/**', '**/node_modules/**')

// The repository is the site: its documents link to each other, and these links hold here as they
// do there.
export default defineConfig({
  title: 'nodepoll',
  description:
    'TCP and unix sockets for Node on a native event loop, with buffers that are not copied',
  base,
  srcDir: root,
  srcExclude: noPages,
  rewrites: { 'site/:path*': ':path*' },
  outDir: join(site, 'dist'),
  cacheDir: join(site, '.vitepress/cache'),
  lastUpdated: false,
  // Made by typedoc; check-links.mjs looks at these, and at all anchors.
  ignoreDeadLinks: [/^\/api\//],
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}icon.svg` }]],
  markdown: {
    anchor: { slugify: anchorOf },
    config(markdown) {
      linkFiles(markdown)
      showNames(markdown)
      linkSymbols(markdown, base, join(site, 'public/api/api.json'))
    },
  },
  transformPageData(data) {
    const path: unknown = data.params?.['path']
    if (typeof path === 'string') data.title = path
  },
  themeConfig: {
    logo: '/icon.svg',
    nav: [
      { text: 'Guide', link: learn[0].link, activeMatch: '/docs/guide/' },
      { text: 'API', link: '/api/', target: '_self' },
      { text: 'Errors', link: '/docs/errors' },
      { text: 'Examples', link: '/docs/examples' },
    ],
    sidebar: [
      { text: 'Learn', items: learn },
      { text: 'Integrations', items: integrations, collapsed: true },
      { text: 'To production', items: production },
      { text: 'Look up', items: lookUp },
      { text: 'More', items: more },
    ],
    outline: [2, 3],
    search: { provider: 'local' },
    footer: { message: 'MIT' },
  },
  vite: {
    publicDir: join(site, 'public'),
    plugins: [vueOfTheSite()],
  },
})

/** The anchor that GitHub gives to a heading, so that links with one hold in both places. */
function anchorOf(title: string): string {
  const text = title.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
  return text.replaceAll(' ', '-')
}

/** Pages lie outside of this package, where there is no Vue to be found. */
function vueOfTheSite(): Plugin {
  return {
    name: 'vue-of-the-site',
    enforce: 'pre',
    resolveId(id, _importer, { ssr = false }) {
      if (!/^vue($|\/)/.test(id)) return undefined
      return ssr
        ? { id, external: true }
        : this.resolve(id, join(site, 'index.html'), { skipSelf: true })
    },
  }
}
