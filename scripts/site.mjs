// npm run docs:build: the documentation as a static site in site/dist, with the reference, and a
// look at every link. SITE_BASE is the path under which it will be served, if that is not `/`.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { PlainError } from './requirements.mjs'
import { runScript, setup } from './setup.mjs'

await runScript(async () => {
  await setup({ withSite: true })
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: fileURLToPath(new URL('../site', import.meta.url)),
    stdio: 'inherit',
    // npm is a script there, and only a shell starts scripts.
    shell: process.platform === 'win32',
  })
  if (status !== 0) throw new PlainError('The site could not be built.')
})
