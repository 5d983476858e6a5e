import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** A package that has no types of its own, with those of what the tests use of it. */
export function untyped<T>(name: string): T {
  return require(name) as T
}

/** The version of a package that is there. */
export function versionOf(name: string): string {
  return untyped<{ version: string }>(`${name}/package.json`).version
}
