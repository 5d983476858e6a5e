import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { failure, NodepollError } from '../errors.ts'
import type * as binding from './binding.cjs'
import { problemOf } from './elf.ts'
import { platformInWords, platformName } from './platform.ts'

type Binding = typeof binding

/** The release that this half belongs to. `npm run release:version` sets it everywhere. */
export const VERSION = '0.1.0'

/** Loads this file and nothing else: for a library of one's own making. */
const PATH_VARIABLE = 'NAPI_RS_NATIVE_LIBRARY_PATH'

const require = createRequire(import.meta.url)

/** Written out, so that tools that follow `require` find them. */
const packages: Record<string, () => string> = {
  'darwin-arm64': () => require.resolve('@nodepoll/native-darwin-arm64'),
  'darwin-x64': () => require.resolve('@nodepoll/native-darwin-x64'),
  'linux-arm64-gnu': () => require.resolve('@nodepoll/native-linux-arm64-gnu'),
  'linux-arm64-musl': () => require.resolve('@nodepoll/native-linux-arm64-musl'),
  'linux-x64-gnu': () => require.resolve('@nodepoll/native-linux-x64-gnu'),
  'linux-x64-musl': () => require.resolve('@nodepoll/native-linux-x64-musl'),
  'win32-arm64-msvc': () => require.resolve('@nodepoll/native-win32-arm64-msvc'),
  'win32-x64-msvc': () => require.resolve('@nodepoll/native-win32-x64-msvc'),
}

/** The native half. This folder is the only place that knows it. */
export const native: Binding = load(platformName())

function load(name: string): Binding {
  const causes: NodepollError[] = []
  for (const { place, find } of candidates(name)) {
    try {
      return open(find())
    } catch (error) {
      causes.push(causeAt(place, error))
    }
  }
  throw notLoaded(name, causes)
}

/** Where the library may be, and how its file is found there. */
function* candidates(name: string): Generator<{ place: string; find: () => string }> {
  const given = process.env[PATH_VARIABLE]
  if (given) {
    const path = resolve(given)
    yield { place: `${path} (${PATH_VARIABLE})`, find: () => path }
    return
  }
  // A build of one's own lies here; packages bring none along.
  const built = fileURLToPath(new URL(`./nodepoll.${name}.node`, import.meta.url))
  yield { place: built, find: () => built }
  const find = packages[name]
  if (find !== undefined) yield { place: `@nodepoll/native-${name}`, find }
}

function open(path: string): Binding {
  const problem = problemOf(path)
  if (problem !== undefined) throw failure('ERR_NODEPOLL_NATIVE_LIBRARY', `${path} ${problem}`)
  return checked(require(path) as Binding)
}

/** Both halves share memory and agree on its layout only within a release. */
function checked(loaded: Binding): Binding {
  // What is older than this question has no answer.
  const release = loaded.BindingRuntime?.release?.()
  const own = `nodepoll (${VERSION})`
  if (release === own) return loaded
  const message = `it belongs to ${release ?? 'another release'}, and this is ${own}`
  throw failure('ERR_NODEPOLL_NATIVE_LIBRARY', message)
}

function causeAt(place: string, error: unknown): NodepollError {
  const { code = 'ERR_NODEPOLL_NATIVE_LIBRARY', message } = error as NodeJS.ErrnoException
  // What follows in the message of a module that is not found is who has asked for it.
  const [reason] = message.split('\nRequire stack:')
  return new NodepollError(code, `${place}: ${reason}`, { cause: error })
}

function notLoaded(name: string, causes: readonly NodepollError[]): NodepollError {
  const cause = causes.find((each) => !isMissing(each)) ?? causes.at(-1)
  const message = [
    `cannot load the native library for ${platformInWords()}:`,
    ...causes.map((each) => `- ${each.message}`),
    causes.every(isMissing)
      ? adviceOnMissing(name)
      : 'What it needs stands under "Platforms" in the documentation.',
  ].join('\n')
  const error = failure('ERR_NODEPOLL_NATIVE_LIBRARY', message, { cause })
  return Object.assign(error, { errors: causes })
}

function isMissing({ code }: NodepollError): boolean {
  return code === 'MODULE_NOT_FOUND'
}

function adviceOnMissing(name: string): string {
  if (!(name in packages)) return `There is no package for ${name}: build it from the sources.`
  return (
    `The optional dependency @nodepoll/native-${name} is missing. Install nodepoll on the ` +
    'platform it runs on, without --omit=optional; if npm goes by a lock file that came from ' +
    'another platform, delete that and node_modules first.'
  )
}
