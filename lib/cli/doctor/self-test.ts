// One self-test of `nodepoll doctor`, in a process of its own: an echo under one host, over TCP or
// a unix socket, with every byte checked. What it prints is the outcome.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type Connection, configure, dial, isNodepollError, serve, stats } from '../../index.ts'

/** What a self-test has come to. */
export type Outcome = { readonly ms: number } | { readonly missing: string }

const TOTAL_BYTES = 4 << 20
const PIECE_BYTES_MAX = 100_000

const [host, place] = process.argv.slice(2) as ['thread' | 'inline', string]
process.stdout.write(JSON.stringify(await outcome()))

async function outcome(): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'nodepoll-'))
  const start = performance.now()
  try {
    configure({ host })
    await check(place === 'unix' ? { path: join(folder, 'socket') } : { host: place })
    return { ms: performance.now() - start }
  } catch (error) {
    // What a machine does not have is no failure.
    if (!isMissing(error)) throw error
    return { missing: error.message }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function isMissing(error: unknown): error is Error {
  return ['ERR_NODEPOLL_UNSUPPORTED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'].some((code) =>
    isNodepollError(error, code),
  )
}

async function check(listen: { path: string } | { host: string }): Promise<void> {
  const server = await serve({
    ...listen,
    async onRequest({ input, writer }) {
      if (!writer.append(input).flush()) await writer.drained()
    },
  })
  const { address } = server
  const port = address.family === 'unix' ? {} : { port: address.port }
  const connection = await dial({ ...listen, ...port, readTimeoutMs: 10_000 })
  const [sent, received] = await Promise.all([send(connection), receive(connection)])
  expect(received === sent, 'what came back is not what was sent')
  const { by } = await connection.closed
  await server.shutdown({ deadlineMs: 10_000, force: true })
  expect(by === 'peer', `the connection was ended by ${by}, not by its peer`)
  const { connections, staleLeases } = stats()
  expect(connections === 0 && staleLeases === 0, 'connections or memory are left')
}

/** Sends in pieces of any length, then FIN. Gives the hash of all. */
async function send(connection: Connection): Promise<string> {
  const hash = createHash('sha256')
  for (let left = TOTAL_BYTES; left > 0;) {
    const piece = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * PIECE_BYTES_MAX)))
    left -= piece.length
    hash.update(piece)
    if (!connection.write(piece)) await connection.writer.drained()
  }
  await connection.closeWrite()
  return hash.digest('hex')
}

async function receive({ reader }: Connection): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of reader) hash.update(chunk)
  return hash.digest('hex')
}

function expect(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise)
}
