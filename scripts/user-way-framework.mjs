// The way of a user of one of the packages for frameworks: somebody who has the framework installs
// it beside nodepoll as its README says, without a network, and runs the first example there.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { compilations, firstExample, runCompiled } from './example.mjs'
import { frameworkFolders } from './packages.mjs'
import { addNodeTypes, makeProjectOver, run, runNpm } from './project.mjs'

/** What users of decorators have on. */
const decorators = { experimentalDecorators: true, emitDecoratorMetadata: true }

/** `framework` is one of the packages that were packed, `core` are those that it needs of ours. */
export async function checkFramework(checks, framework, core) {
  const { name } = framework
  const folder = frameworkFolders().get(name.replace('@nodepoll/', ''))
  let project
  await checks.that(`npm installs ${name} beside its framework, offline`, () => {
    project = makeProjectOver(frameworkOf(name, folder), [...core, framework])
  })
  if (project === undefined) return
  try {
    await checks.that(`${name} has all peers that it wants, in versions that it wants`, () => {
      runNpm(project, ['ls', '--all'])
    })
    await checks.that(`${name} is the same by import and by require()`, () => {
      const output = run(project, process.execPath, ['--input-type=module', '--eval', both(name)])
      if (!/^\d+ names\n$/.test(output)) throw new Error(output)
      return output.trim()
    })
    await checkExample(checks, name, folder, project)
  } finally {
    project.remove()
  }
}

/** What the first command of the README installs beside our packages. */
function frameworkOf(name, folder) {
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  const [, ours, nodepoll, ...names] = /^npm (install .*)$/m.exec(readme)?.[1].split(' ') ?? []
  if (ours !== name || nodepoll !== 'nodepoll') throw new Error(`README.md installs ${ours}`)
  return { names, modules: join(folder, 'node_modules') }
}

/** A program that ends in disgrace if the formats give different things. */
function both(name) {
  return `
    import assert from 'node:assert/strict'
    import { createRequire } from 'node:module'
    import * as imported from '${name}'
    const required = createRequire(process.cwd() + '/x.cjs')('${name}')
    const names = Object.keys(imported)
    assert.deepEqual(Object.keys(required).toSorted(), names.toSorted())
    for (const each of names) assert.equal(required[each], imported[each], each)
    console.log(names.length, 'names')
  `
}

async function checkExample(checks, name, folder, project) {
  const example = firstExample(folder)
  addNodeTypes(project)
  for (const [purpose, compilation] of Object.entries(compilations)) {
    await checks.that(`the first example of ${name} compiles ${purpose}, and runs`, () =>
      runCompiled(project, example, { ...compilation, ...decorators }),
    )
  }
}
