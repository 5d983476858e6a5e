import { type EventEmitter, once } from 'node:events'

import type { ExecutionContext } from 'ava'
import { connect, Socket } from 'nodepoll/stream'

import { codeOf, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { account, testWith } from './helpers/real-server.ts'
import { untyped } from './helpers/untyped.ts'

type Rows = readonly Record<string, unknown>[]

interface Queries extends EventEmitter {
  query(text: string, values?: readonly unknown[]): Promise<[Rows, unknown]>
  execute(text: string, values?: readonly unknown[]): Promise<[Rows, unknown]>
  end(): Promise<void>
}

interface Connection extends Queries {
  readonly connection: {
    readonly stream: unknown
    query(text: string): { stream(options: object): AsyncIterable<Record<string, unknown>> }
  }
}

const mysql = untyped<{
  createConnection(options: object): Promise<Connection>
  createPool(options: object): Queries
}>('mysql2/promise')

/** The settings of clients whose sockets are ours, and these sockets. */
function settings(port: number): { options: object; sockets: Socket[] } {
  const sockets: Socket[] = []
  const stream = (): Socket => {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    sockets.push(socket)
    return socket
  }
  return { options: { ...account, database: 'app', stream }, sockets }
}

/** A session, until the test ends. */
async function session(t: ExecutionContext, port: number): Promise<Connection> {
  const { options, sockets } = settings(port)
  t.teardown(() => sockets[0]?.destroy())
  const client = await within(mysql.createConnection(options), 'a session')
  t.true(client.connection.stream instanceof Socket)
  return client
}

const onMariadb = testWith('mariadb')

onMariadb('mysql2: values of all kinds come back as they were', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  await client.query('CREATE TABLE kinds (id INT PRIMARY KEY, text TEXT, bytes BLOB)')
  await client.query('INSERT INTO kinds VALUES (?, ?, ?)', [1, 'grüß dich', bytes])
  const [rows] = await within(client.query('SELECT *, VERSION() AS version FROM kinds'), 'rows')
  t.like(rows[0], { id: 1, text: 'grüß dich' })
  t.deepEqual(rows[0]?.['bytes'], bytes)
  t.regex(String(rows[0]?.['version']), /MariaDB/)
  await within(client.end(), 'the end')
})

onMariadb('mysql2: a prepared statement is run with 300 different values', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  for (let index = 0; index < 300; index++) {
    const statement = 'SELECT ? + 1 AS next, CONCAT(?, ?) AS text'
    const [rows] = await client.execute(statement, [index, 'a', `${index}`])
    t.deepEqual(JSON.parse(JSON.stringify(rows)), [{ next: index + 1, text: `a${index}` }])
  }
  const [[state]] = await client.query(`SHOW SESSION STATUS LIKE 'Com_stmt_prepare'`)
  t.is(state?.['Value'], '1')
  await within(client.end(), 'the end')
})

onMariadb('mysql2: 100,000 rows come one by one to a reader that is slow', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  const query = client.connection.query('SELECT seq, REPEAT(seq, 20) AS text FROM seq_1_to_100000')
  let count = 0
  for await (const { seq, text } of query.stream({ highWaterMark: 10 })) {
    count++
    if (seq !== count || text !== `${seq}`.repeat(20)) t.fail(`row ${count}: ${seq} ${text}`)
    if (count % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  t.is(count, 100_000)
  await within(client.end(), 'the end')
})

onMariadb(
  'mysql2: a field of 20 MiB, which is longer than a packet, both ways',
  async (t, port) => {
    await leakCheck(t)
    const client = await session(t, port)
    const value = Buffer.alloc(20 * 1024 * 1024, 'a value of many nodes ')
    await client.query('CREATE TABLE large (value LONGBLOB)')
    await within(client.query('INSERT INTO large VALUES (?)', [value]), 'an insert')
    const [rows] = await within(client.query('SELECT value FROM large'), 'the value')
    t.true(value.equals(rows[0]?.['value'] as Buffer))
    await within(client.end(), 'the end')
  },
)

onMariadb('mysql2: an error of a statement leaves the session in order', async (t, port) => {
  await leakCheck(t)
  const client = await session(t, port)
  t.is(codeOf(await failureOf(client.query('SELEKT'), 'an error')), 'ER_PARSE_ERROR')
  t.is(codeOf(await failureOf(client.execute('SELECT * FROM none'), 'one')), 'ER_NO_SUCH_TABLE')
  const [rows] = await within(client.query('SELECT 1 AS one'), 'rows')
  t.is(rows[0]?.['one'], 1)
  await within(client.end(), 'the end')
})

onMariadb('mysql2: a wrong password is told, and its socket goes', async (t, port) => {
  await leakCheck(t)
  const { options, sockets } = settings(port)
  const client = mysql.createConnection({ ...options, password: 'wrong' })
  t.is(codeOf(await failureOf(client, 'a session')), 'ER_ACCESS_DENIED_ERROR')
  const [socket] = sockets
  if (socket?.closed === false) await within(once(socket, 'close'), 'the end')
  t.is(sockets.length, 1)
})

onMariadb('mysql2: a session that the server ends is an error of its client', async (t, port) => {
  await leakCheck(t)
  const [ended, other] = await Promise.all([session(t, port), session(t, port)])
  ended.on('error', () => {})
  const [rows] = await ended.query('SELECT CONNECTION_ID() AS id')
  const query = failureOf(ended.query('SELECT SLEEP(60)'), 'a query')
  await other.query('KILL ?', [rows[0]?.['id']])
  t.is(codeOf(await query), 'PROTOCOL_CONNECTION_LOST')
  await within(other.end(), 'the end')
})

onMariadb('mysql2: a pool of ten answers 500 queries at once', async (t, port) => {
  await leakCheck(t)
  const { options, sockets } = settings(port)
  const pool = mysql.createPool({ ...options, connectionLimit: 10 })
  const queries = Array.from({ length: 500 }, async (_, index) => {
    const [rows] = await pool.query('SELECT ? AS n, SLEEP(0.001)', [index])
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
