import { execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { freePort } from './parity.ts'
import { startNetServer } from './server.ts'

/** It refuses to run as root. */
const NOBODY = 65_534

/** Where a PostgreSQL listens, and whether it is a real one. */
export interface Postgres {
  readonly port: number
  readonly isReal: boolean
}

/** A PostgreSQL of this machine; without one, a server that says what the tests expect of it. */
export async function startPostgres(t: ExecutionContext<unknown>): Promise<Postgres> {
  if (isInPath('postgres') && isInPath('initdb')) return startReal(t)
  t.log('postgres and initdb are not there: a server of ours takes the place of PostgreSQL')
  const { port } = await startNetServer(t, speak)
  return { port, isReal: false }
}

function isInPath(name: string): boolean {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .some((folder) => existsSync(join(folder, name)))
}

async function startReal(t: ExecutionContext<unknown>): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), 'nodepoll-postgres-'))
  const isRoot = process.getuid?.() === 0
  const as = isRoot ? { uid: NOBODY, gid: NOBODY } : {}
  if (isRoot) chownSync(folder, NOBODY, NOBODY)
  const data = join(folder, 'data')
  const options = ['--pgdata', data, '--username=test', '--auth=trust', '--no-sync', '--locale=C']
  execFileSync('initdb', options, { ...as, cwd: folder, stdio: 'ignore' })
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${folder}`, 'fsync=off']
  const server = spawn(
    'postgres',
    ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    { ...as, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  t.teardown(async () => {
    const ended = new Promise((resolve) => server.once('close', resolve))
    server.kill('SIGINT')
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  await new Promise<void>((resolve, reject) => {
    let text = ''
    server.stderr.setEncoding('utf8').on('data', (part: string) => {
      text += part
      if (text.includes('ready to accept connections')) resolve()
    })
    server.once('close', () => reject(new Error(`postgres has ended: ${text}`)))
  })
  return { port, isReal: true }
}

/** The other side of what the tests ask: the start, `SELECT` of one text, the end. */
function speak(socket: Socket): void {
  let pending = Buffer.alloc(0)
  let hasStarted = false
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const head = hasStarted ? 1 : 0
      if (pending.length < head + 4) return
      const end = head + pending.readInt32BE(head)
      if (pending.length < end) return
      const message = pending.subarray(0, end)
      pending = pending.subarray(end)
      answer(socket, message, hasStarted)
      hasStarted = true
    }
  })
}

function answer(socket: Socket, message: Buffer, hasStarted: boolean): void {
  if (!hasStarted) {
    socket.write(Buffer.concat([reply('R', int32(0)), reply('Z', Buffer.from('I'))]))
    return
  }
  const kind = String.fromCharCode(message[0] as number)
  if (kind === 'X') socket.end()
  if (kind !== 'Q') return
  const text = /'([^']*)'/.exec(message.toString('utf8', 5))?.[1] ?? ''
  const repeated = /repeat\('(.)', (\d+)\)/.exec(message.toString('utf8', 5))
  const value = Buffer.from(repeated ? (repeated[1] ?? '').repeat(Number(repeated[2])) : text)
  const field = Buffer.concat([int16(1), Buffer.from('value\0'), int32(0), int16(0), int32(25)])
  const description = Buffer.concat([field, int16(-1), int32(-1), int16(0)])
  socket.write(
    Buffer.concat([
      reply('T', description),
      reply('D', Buffer.concat([int16(1), int32(value.length), value])),
      reply('C', Buffer.from('SELECT 1\0')),
      reply('Z', Buffer.from('I')),
    ]),
  )
}

function reply(kind: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(kind), int32(body.length + 4), body])
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
