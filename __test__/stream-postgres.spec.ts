import { type EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'

import type { ExecutionContext } from 'ava'
import { Socket } from 'nodepoll/stream'

import { codeOf, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { account, testWith } from './helpers/real-server.ts'
import { untyped } from './helpers/untyped.ts'

interface Result {
  readonly rows: readonly Record<string, unknown>[]
  readonly rowCount: number
}

interface Queries extends EventEmitter {
  query(text: string, values?: readonly unknown[]): Promise<Result>
  end(): Promise<void>
}

interface Client extends Queries {
  connect(): Promise<void>
}

const pg = untyped<{
  Client: new (options: object) => Client
  Pool: new (options: object) => Queries
}>('pg')

const ca = readFileSync(new URL('../testdata/tls/certificate.pem', import.meta.url))

/** The settings of clients whose sockets are ours, and these sockets. */
function settings(port: number): { options: object; sockets: Socket[] } {
  const sockets: Socket[] = []
  const stream = (): Socket => {
    const socket = new Socket()
    sockets.push(socket)
    return socket
  }
  const where = { host: '127.0.0.1', port, database: 'postgres' }
  return { options: { ...where, ...account, keepAlive: true, stream }, sockets }
}

/** A session, until the test ends. */
async function session(t: ExecutionContext, port: number, options: object = {}): Promise<Client> {
  const own = settings(port)
  const client = new pg.Client({ ...own.options, ...options })
  t.teardown(() => own.sockets[0]?.destroy())
  await within(client.connect(), 'a session')
  return client
}

const onPostgres = testWith('postgres')

onPostgres('pg: values of all kinds come back as they were', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  const { rows } = await within(
    client.query('SELECT $1::text AS text, $2::bytea AS bytes, $3::int[] AS list, version()', [
      'grüß dich',
      bytes,
      [1, 2, 3],
    ]),
    'rows',
  )
  t.like(rows[0], { text: 'grüß dich', list: [1, 2, 3] })
  t.deepEqual(rows[0]?.['bytes'], bytes)
  t.regex(String(rows[0]?.['version']), /^PostgreSQL \d+/)
  await within(client.end(), 'the end')
})

onPostgres('pg: many rows, and a field of 20 MiB both ways', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  const many = 'SELECT n, repeat(n::text, 10) AS text FROM generate_series(1, 50000) AS n'
  const { rows } = await within(client.query(many), 'rows')
  t.is(rows.length, 50_000)
  t.true(rows.every(({ n, text }, index) => n === index + 1 && text === `${n}`.repeat(10)))
  const value = Buffer.alloc(20 * 1024 * 1024, 'a value of many nodes ')
  const back = await within(client.query('SELECT $1::bytea AS value', [value]), 'a value')
  t.true(value.equals(back.rows[0]?.['value'] as Buffer))
  await within(client.end(), 'the end')
})

onPostgres('pg: an error of a statement leaves the session in order', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  t.is(codeOf(await failureOf(client.query('SELEKT'), 'an error')), '42601')
  t.is(codeOf(await failureOf(client.query('SELECT 1 / $1::int', [0]), 'an error')), '22012')
  t.deepEqual((await within(client.query('SELECT 1 AS one'), 'rows')).rows, [{ one: 1 }])
  await within(client.end(), 'the end')
})

onPostgres('pg: a wrong password is told, and its socket goes', async (t, port) => {
  await leakCheck(t)
  const { options, sockets } = settings(port)
  const client = new pg.Client({ ...options, password: 'wrong' })
  t.is(codeOf(await failureOf(client.connect(), 'a session')), '28P01')
  const [socket] = sockets
  if (socket?.closed === false) await within(once(socket, 'close'), 'the end')
  t.is(sockets.length, 1)
})

onPostgres('pg: notifications reach who listens, in order', async (t, port) => {
  await leakCheck(t)
  const [listening, notifying] = await Promise.all([session(t, port), session(t, port)])
  await listening.query('LISTEN news')
  const heard: (string | undefined)[] = []
  const all = new Promise<void>((resolve) => {
    listening.on('notification', ({ payload }: { payload?: string }) => {
      if (heard.push(payload) === 200) resolve()
    })
  })
  const texts = Array.from({ length: 200 }, (_, index) => `${index}`)
  for (const text of texts) await notifying.query(`SELECT pg_notify('news', $1)`, [text])
  await within(all, 'all notifications')
  t.deepEqual(heard, texts)
  await within(Promise.all([listening.end(), notifying.end()]), 'the end')
})

onPostgres('pg: a session that the server ends is an error of its client', async (t, port) => {
  await leakCheck(t)
  const [ended, other] = await Promise.all([session(t, port), session(t, port)])
  const { rows } = await ended.query('SELECT pg_backend_pid() AS pid')
  const errors: Error[] = []
  ended.on('error', (error: Error) => errors.push(error))
  const gone = new Promise((resolve) => ended.once('end', resolve))
  await other.query('SELECT pg_terminate_backend($1)', [rows[0]?.['pid']])
  await within(gone, 'the end')
  t.is(codeOf(errors[0]), '57P01')
  t.is(errors[1]?.message, 'Connection terminated unexpectedly')
  await within(other.end(), 'the end')
})

onPostgres('pg: a pool of ten answers 500 queries at once', async (t, port) => {
  await leakCheck(t)
  const { options, sockets } = settings(port)
  const pool = new pg.Pool({ ...options, max: 10 })
  const queries = Array.from({ length: 500 }, async (_, index) => {
    const { rows } = await pool.query('SELECT $1::int AS n, pg_sleep(0.001)', [index])
    return rows[0]?.['n']
  })
  const answers = await within(Promise.all(queries), 'all answers')
  t.deepEqual(
    answers,
    Array.from(answers, (_, index) => index),
  )
  t.is(sockets.length, 10)
  await within(pool.end(), 'the end')
})

onPostgres('pg: a session over TLS', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port, { ssl: { ca, servername: 'localhost' } })
  const state = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
  t.deepEqual((await within(client.query(state), 'rows')).rows, [{ ssl: true }])
  const { rows } = await within(client.query(`SELECT repeat('x', 5000000) AS text`), 'rows')
  t.is(String(rows[0]?.['text']).length, 5_000_000)
  await within(client.end(), 'the end')
})
