import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'
import { parse } from 'yaml'

import { adviceFor } from '../../scripts/servers.mjs'
import { startKafkaBroker } from './kafka-broker.ts'
import { canHave, serverNames, startRealServer, usualPortOf } from './real-server.ts'

const run = promisify(execFile)

/** For a program of a document, on two loaded cores. */
export const PROGRAM_MS = 20_000

/** There is no Kafka in Debian: a broker of ours knows two topics. */
const KAFKA_PORT = 9092

export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block of a document. */
export interface Block {
  /** Where it stands, for the message of a failed test. */
  readonly place: string
  readonly language: string
  /** The name of its file, if it has one. */
  readonly name: string | undefined
  readonly text: string
}

/** The fenced blocks of a text. */
export function blocksOf(place: string, text: string): Block[] {
  return Array.from(text.matchAll(/^```([^\n]*)\n(.*?)^```$/gms), (match) => {
    const [, info = '', content = ''] = match
    const line = text.slice(0, match.index).split('\n').length
    const [language = '', name] = info.split(' ')
    return { place: `${place}:${line}`, language, name, text: content }
  })
}

/** What programs of documents find beside them: a key with its certificate, generated code. */
const besides = ['tls/key.pem', 'tls/certificate.pem', 'thrift/gen-nodejs']

/** The examples in the doc comments of a source. */
export function examplesOf(place: string, source: string): Block[] {
  const comments = source.matchAll(/^( *)\/\*\*\n(.*?)\*\/$/gms)
  return Array.from(comments).flatMap(([, indent = '', body = '']) => {
    const text = body.replaceAll(new RegExp(`^${indent} \\* ?`, 'gm'), '')
    const at = text.indexOf('@example')
    return at < 0 ? [] : blocksOf(place, text.slice(at))
  })
}

/** A folder in which `nodepoll` is installed, and which is gone after the test. */
export function makeWorkshop(t: ExecutionContext): string {
  mkdirSync(join(root, 'target'), { recursive: true })
  const folder = mkdtempSync(join(root, 'target', 'documentation-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  // What `npm install` does for a package of a folder.
  const command = join(root, 'dist/cli/main.js')
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules/nodepoll'), 'junction')
  symlinkSync(command, join(folder, 'node_modules/.bin/nodepoll'))
  chmodSync(command, 0o755)
  for (const path of besides) {
    symlinkSync(join(root, 'testdata', path), join(folder, basename(path)))
  }
  return folder
}

/**
 * Runs the blocks of one document, one after the other, in a folder of their own.
 *
 * - `js`: a program. If its name ends in `server.mjs` it stays for the blocks after it, which find
 *   it although they name port 7000; 7001 is any port. All others come to an end by themselves. One
 *   that the `sh` block after it names is left to that. The usual port of a database or a broker
 *   leads to one; where it cannot be had, the program is left out.
 * - `sh`: commands, that find `nodepoll` installed.
 * - `text` after one of them: what it prints, exactly.
 * - `json`, `yaml`: is parsed, and stays as a file if it has a name.
 */
export async function runBlocks(t: ExecutionContext, blocks: readonly Block[]): Promise<void> {
  const folder = makeWorkshop(t)
  const services = new Services(t)
  let port = '0'
  for (const [index, block] of blocks.entries()) {
    const { place, language, name = `${index}.${language}`, text } = block
    const path = join(folder, name)
    const isServer = language === 'js' && name.endsWith('server.mjs')
    const own = text.replaceAll('7000', isServer ? '0' : port).replaceAll('7001', '0')
    const content = language === 'js' ? await services.lead(own) : own
    if (content === undefined) continue
    const next = blocks[index + 1]
    const isForShell = next?.language === 'sh' && next.text.includes(name)
    let printed: string | undefined
    switch (language) {
      case 'js':
        writeFileSync(path, content)
        if (isServer) port = await startServer(t, folder, path)
        else if (!isForShell) printed = await runIn(folder, process.execPath, path)
        break
      case 'sh':
        printed = await runIn(folder, 'sh', '-euc', withoutInstall(content))
        break
      case 'json':
        writeFileSync(path, JSON.stringify(JSON.parse(content)))
        break
      case 'yaml':
        t.is(typeof parse(text), 'object', place)
        writeFileSync(path, content)
        break
      default:
        break
    }
    if (printed !== undefined && next?.language === 'text') t.is(printed, next.text, place)
  }
}

/** The databases and brokers of the programs of a document, until the test ends. */
class Services {
  readonly #t: ExecutionContext
  readonly #ports: Map<number, number> = new Map()

  constructor(t: ExecutionContext) {
    this.#t = t
  }

  /** A program that finds the servers that it names; none if one cannot be had. */
  async lead(program: string): Promise<string | undefined> {
    let led = program
    for (const name of serverNames) {
      const usualPort = usualPortOf(name)
      if (!names(program, usualPort)) continue
      if (!canHave(name)) {
        this.#t.log(`a program is left out: ${adviceFor(name)}`)
        return undefined
      }
      const start = async (): Promise<number> => (await startRealServer(this.#t, name)).port
      led = await this.#leadTo(led, usualPort, start)
    }
    if (!names(program, KAFKA_PORT)) return led
    return this.#leadTo(led, KAFKA_PORT, () => startKafkaBroker(this.#t, ['invoices', 'orders']))
  }

  async #leadTo(program: string, usualPort: number, start: () => Promise<number>): Promise<string> {
    const port = this.#ports.get(usualPort) ?? (await start())
    this.#ports.set(usualPort, port)
    return program.replaceAll(`${usualPort}`, `${port}`)
  }
}

function names(program: string, port: number): boolean {
  return new RegExp(`\\b${port}\\b`).test(program)
}

/** That is done already. */
function withoutInstall(commands: string): string {
  return commands.replaceAll(/^npm install nodepoll$/gm, ':')
}

async function runIn(folder: string, command: string, ...args: string[]): Promise<string> {
  const path = `${join(folder, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`
  const { stdout } = await run(command, args, {
    cwd: folder,
    timeout: PROGRAM_MS,
    env: { ...process.env, PATH: path },
  })
  return stdout
}

/** Runs a server until the test ends. Its port, as it says in its first line. */
async function startServer(t: ExecutionContext, cwd: string, path: string): Promise<string> {
  const server: ChildProcess = spawn(process.execPath, [path], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => server.kill('SIGKILL'))
  const lines = createInterface(server.stdout as NonNullable<typeof server.stdout>)
  const signal = AbortSignal.timeout(PROGRAM_MS)
  const [line] = (await once(lines, 'line', { signal })) as [string]
  return /\d+$/.exec(line)?.[0] ?? t.fail(`no port in '${line}'`)
}
