#!/usr/bin/env node
// The command `nodepoll`: finds the command that is meant, and turns what it ends with into an
// exit code: 0 is good, 1 has failed, 2 is a wrong command line, 130 was interrupted.
import { createRequire } from 'node:module'

import { type Command, helpOf, readArguments, UsageError } from './arguments.ts'
import { bench } from './bench.ts'
import { doctor } from './doctor.ts'
import { echo } from './echo.ts'
import { Failure } from './failure.ts'
import { proxy } from './proxy.ts'

const commands: readonly Command[] = [echo, proxy, bench, doctor]

process.exitCode = await main(process.argv.slice(2))

async function main([name, ...args]: string[]): Promise<number> {
  if (name === '--version' || name === '-v') return print(version())
  if (name === '--help' || name === '-h') return print(help())
  const found = commands.find((each) => each.name === name)
  try {
    if (name === undefined) throw new UsageError('a command is missing')
    if (found === undefined) throw new UsageError(`there is no command '${name}'`)
    const read = readArguments(found, args)
    return read === undefined ? print(helpOf(found)) : await found.run(read.values, read.operands)
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof Failure)) throw error
    process.stderr.write(`nodepoll: ${error.message}\n`)
    if (error instanceof Failure) return 1
    process.stderr.write(`See \`nodepoll ${found === undefined ? '' : `${found.name} `}--help\`.\n`)
    return 2
  }
}

function print(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`)
  return 0
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string }
  return manifest.version
}

function help(): string {
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(8)}${summary}`)
  return [
    'Usage: nodepoll <command> [options]',
    '',
    'TCP and unix sockets on a native event loop: tools to try it, measure it, and see whether it',
    'works here.',
    '',
    'Commands:',
    ...lines,
    '',
    '`nodepoll <command> --help` says more. `nodepoll --version` prints the version.',
  ].join('\n')
}
