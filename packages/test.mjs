// npm run test:packages: the tests of each package in this folder, against its framework.
import { spawnSync } from 'node:child_process'

import { frameworkFolders } from '../scripts/packages.mjs'

for (const folder of frameworkFolders().values()) {
  const { status } = spawnSync('npm', ['test', '--silent'], {
    cwd: folder,
    stdio: 'inherit',
    // npm is a script there, and only a shell starts scripts.
    shell: process.platform === 'win32',
  })
  if (status !== 0) process.exitCode = 1
}
