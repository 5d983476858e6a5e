// npm run check:targets: lints the Rust code for systems that this one is not, as far as that goes
// without their linkers. A target that rustup cannot bring is skipped.
import { spawnSync } from 'node:child_process'

import { Checks } from './checks.mjs'
import { root } from './packages.mjs'

/** One for each system that the code tells apart; processors make no difference to it. */
const targets = ['x86_64-pc-windows-msvc', 'aarch64-apple-darwin', 'aarch64-unknown-linux-musl']

const checks = new Checks()
for (const target of targets) {
  await checks.that(`clippy has nothing to say for ${target}`, () => {
    if (!add(target)) return 'skipped: rustup has no standard library for it here'
    const crates = ['linkbuf', 'nodepoll', 'nodepoll-node'].flatMap((name) => ['-p', name])
    const args = ['clippy', '--lib', ...crates, '--target', target, '--', '-D', 'warnings']
    const { status, stderr } = spawnSync('cargo', args, { cwd: root, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    return undefined
  })
}
checks.end()

function add(target) {
  return spawnSync('rustup', ['target', 'add', target], { encoding: 'utf8' }).status === 0
}
