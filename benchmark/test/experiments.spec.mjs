import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { parseLoad } from '../load.mjs'
import { limitFile, patchFile, withLimit } from '../experiments/variants.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = new URL('../experiments/', import.meta.url)
const helpers = new Set(['echo-server.mjs', 'runner.mjs', 'variants.mjs'])
const names = readdirSync(folder).filter((name) => name.endsWith('.mjs') && !helpers.has(name))
const patches = readdirSync(new URL('patches/', folder)).map((name) => name.replace('.patch', ''))
const experiments = await Promise.all(
  names.map(async (name) => (await import(new URL(name, folder).href)).experiment),
)
const variants = experiments.flatMap(({ variants: all }) => Object.values(all))

test('every patch of an experiment applies to the code as it is', (t) => {
  t.true(patches.length > 0)
  for (const name of patches) {
    t.notThrows(() => execFileSync('git', ['apply', '--check', patchFile(name)], { cwd: root }))
  }
})

test('every patch is used by an experiment, and every one that is used is there', (t) => {
  const used = new Set(variants.flatMap((variant) => variant.patches ?? []))
  t.deepEqual([...used].toSorted(), patches.toSorted())
})

test('every limit that an experiment changes is in the limits of its side', (t) => {
  for (const [side, values] of variants.flatMap(({ limits = {} }) => Object.entries(limits))) {
    const text = readFileSync(limitFile(side), 'utf8')
    for (const [name, value] of Object.entries(values)) {
      t.not(withLimit(text, name, value), text, `${side}: ${name} = ${value}`)
    }
  }
})

test('a limit that is not there is an error', (t) => {
  const text = 'pub const BYTES_MAX: usize = 4096;\n'
  t.throws(() => withLimit(text, 'BYTES', '1'), { message: 'there is no limit BYTES' })
})

test('a limit of either language gets the value, and nothing else changes', (t) => {
  const rust = '/// Why.\npub(crate) const A: u32 = 1 << 3;\npub const AB: u32 = 5;\n'
  t.is(withLimit(rust, 'A', '7'), rust.replace('1 << 3', '7'))
  const script = 'export const A: number = 1 << 3\nexport const B = 2\n'
  t.is(withLimit(script, 'A', '7'), script.replace('1 << 3', '7'))
  t.is(withLimit(script, 'B', '7'), script.replace('B = 2', 'B = 7'))
})

test('every load of an experiment is one', (t) => {
  for (const { loads } of experiments) t.true(loads.map(parseLoad).length > 0)
})
