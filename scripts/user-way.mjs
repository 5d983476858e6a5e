// npm run test:user: the way of a user. Packs, looks at the packages, installs nodepoll without a
// network into an empty project where there is no Rust, and runs the first example of README.md
// there in every format and in a worker; then the same for each package for a framework, where that
// framework is.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { problemsOfBinary } from './binary.mjs'
import { Checks } from './checks.mjs'
import {
  compilations,
  firstExample,
  runAsCommonJs,
  runAsModules,
  runCompiled,
  runInWorkers,
} from './example.mjs'
import { contentsOf, pack } from './pack.mjs'
import { readManifest, root } from './packages.mjs'
import { addNodeTypes, makeProject, run } from './project.mjs'
import { runScript } from './setup.mjs'
import { checkFramework } from './user-way-framework.mjs'

const LIST = 'testdata/package-contents.txt'

const checks = new Checks()
await runScript(async () => {
  const { main, platforms, frameworks } = await pack()
  await checkPackages([main, ...platforms, ...frameworks])
  for (const each of [main, ...frameworks]) await checkTypes(each)
  for (const each of platforms) await checkLibrary(each)
  const project = makeProject([main, ...platforms])
  try {
    await checkInstallation(project)
    await checkCommand(project)
    await checkExample(project)
  } finally {
    project.remove()
  }
  for (const each of frameworks) await checkFramework(checks, each, [main, ...platforms])
})
checks.end()

async function checkPackages(packages) {
  await checks.that(`the packages contain what ${LIST} lists`, () => checkContents(packages))
  for (const { name, folder, tarball } of packages) {
    await checks.that(`${name} runs nothing when it is installed`, () => {
      const { scripts } = readManifest(folder)
      if (scripts !== undefined) throw new Error(JSON.stringify(scripts))
    })
    await checks.that(`publint has nothing to say about ${name}`, () => {
      const output = tool('publint', ['run', tarball, '--strict'])
      if (!output.includes('All good!')) throw new Error(output)
    })
  }
}

async function checkTypes({ name, tarball }) {
  await checks.that(
    `arethetypeswrong finds types of every kind for every import of ${name}`,
    () => {
      tool('@arethetypeswrong/cli', [tarball, '--no-emoji', '--no-color'])
    },
  )
}

async function checkLibrary({ name, folder }) {
  await checks.that(`the library of ${name} is what its package says`, () => {
    const manifest = readManifest(folder)
    const problems = problemsOfBinary(join(folder, manifest.main), manifest)
    if (problems.length > 0) throw new Error(problems.join('\n'))
  })
}

function checkContents(packages) {
  const found = contentsOf(packages)
  const listed = readFileSync(join(root, LIST), 'utf8').trimEnd().split('\n')
  const differences = [
    ...found.filter((path) => !listed.includes(path)).map((path) => `+ ${path}`),
    ...listed.filter((path) => !found.includes(path)).map((path) => `- ${path}`),
  ]
  if (differences.length === 0) return
  const remedy = `If that is right: node scripts/pack.mjs --list > ${LIST}`
  throw new Error([...differences, remedy].join('\n'))
}

/** Runs a tool of the repository; throws what it says if it is not content. */
function tool(name, args) {
  const folder = join(root, 'node_modules', name)
  const { bin } = readManifest(folder)
  const script = join(folder, typeof bin === 'string' ? bin : Object.values(bin)[0])
  const result = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(result.stdout + result.stderr)
  return result.stdout
}

async function checkInstallation(project) {
  const modules = join(project.folder, 'node_modules')
  await checks.that('npm installs nodepoll and one native package, offline', () => {
    const found = readdirSync(modules).filter((name) => !name.startsWith('.'))
    if (found.toSorted().join() !== '@nodepoll,nodepoll') throw new Error(found.join())
    const native = readdirSync(join(modules, '@nodepoll'))
    if (native.length !== 1) throw new Error(native.join())
    return native[0]
  })
  await checks.that('there is no Rust and no compiler in the path', () => {
    for (const command of ['cargo', 'rustc', 'cc']) {
      const { error } = spawnSync(command, ['--version'], { env: project.env })
      if (error?.code !== 'ENOENT') throw new Error(`${command} is there`)
    }
  })
  await checks.that('what is not exported cannot be imported', () => {
    const program = "import('nodepoll/dist/index.js').catch(({ code }) => console.log(code))"
    const output = run(project, process.execPath, ['--eval', program])
    if (output !== 'ERR_PACKAGE_PATH_NOT_EXPORTED\n') throw new Error(output)
  })
}

/** The command that comes with the package; what it tries is its own. */
async function checkCommand(project) {
  const command = join(project.folder, 'node_modules/nodepoll', readManifest(root).bin.nodepoll)
  await checks.that('the command of the package tells its version', () => {
    const output = run(project, process.execPath, [command, '--version'])
    if (output !== `${readManifest(root).version}\n`) throw new Error(output)
  })
  await checks.that('the command of the package finds that nodepoll works here', () => {
    const output = run(project, process.execPath, [command, 'doctor', '--json'])
    if (!JSON.parse(output).isGood) throw new Error(output)
  })
}

async function checkExample(project) {
  const example = firstExample()
  const first = 'the first example of README.md'
  await checks.that(`${first} runs as ES modules`, () => runAsModules(project, example))
  await checks.that(`${first} runs as CommonJS`, () => runAsCommonJs(project, example))
  await checks.that(`${first} runs in workers`, () => runInWorkers(project, example))
  addNodeTypes(project)
  for (const [name, compilation] of Object.entries(compilations)) {
    await checks.that(`${first} compiles ${name} under strict checks, and runs`, () =>
      runCompiled(project, example, compilation),
    )
  }
}
