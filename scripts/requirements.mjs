// What the repository needs from the machine, each checked and explained on its own.
// Nothing here may use syntax or modules newer than Node 14, or an old Node would
// answer with a syntax error instead of the sentence it is meant to read.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A failure that its message explains: printed as it stands, without a stack trace. */
export class PlainError extends Error {}

/** Throws unless this Node can load ES modules with `require`, which `dist/index.cjs` does. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const supported = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major >= 23
  if (supported) return
  throw new PlainError(
    `Node ${process.versions.node} is too old: ` +
      'nodepoll needs 20.19 or later, or 22.12 or later.\n' +
      'Install a current one from https://nodejs.org or with a version manager such as nvm.',
  )
}

/** Throws, naming every missing tool, unless the Rust code can be built and linked. */
export function requireRust() {
  const missing = [cargoProblem(), linkerProblem()].filter((problem) => problem !== undefined)
  if (missing.length > 0) throw new PlainError(missing.join('\n\n'))
}

function cargoProblem() {
  const advice =
    'Install Rust from https://rustup.rs and open a new shell, so that `cargo` is on the PATH.'
  const found = spawnSync('cargo', ['--version'], { encoding: 'utf8' })
  if (found.error) return `Rust is missing: \`cargo\` was not found.\n${advice}`
  const version = /^cargo (\d+)\.(\d+)/.exec(found.stdout)
  if (found.status !== 0 || version === null) {
    return `Rust is not usable: \`cargo --version\` failed.\n${found.stderr.trim()}\n${advice}`
  }
  const manifest = readFileSync(new URL('../Cargo.toml', import.meta.url), 'utf8')
  const [, major, minor] = /^rust-version = "(\d+)\.(\d+)/m.exec(manifest)
  const isNewEnough =
    Number(version[1]) > Number(major) ||
    (version[1] === major && Number(version[2]) >= Number(minor))
  if (isNewEnough) return undefined
  return (
    `Rust ${version[1]}.${version[2]} is too old: ${major}.${minor} or later is needed.\n` +
    'Run `rustup update stable`.'
  )
}

function linkerProblem() {
  // On Windows the MSVC toolchain finds its own linker.
  if (process.platform === 'win32') return undefined
  if (!spawnSync('cc', ['--version']).error) return undefined
  const install =
    process.platform === 'darwin'
      ? 'xcode-select --install'
      : 'apt-get install build-essential, dnf install gcc, or apk add build-base'
  return (
    'A C linker is missing: `cc` was not found, and Rust links with it.\n' +
    `Install one: ${install}.`
  )
}
