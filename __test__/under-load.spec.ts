import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'

import test from 'ava'
import { type Connection, stats } from 'nodepoll'

import { deferred, eventually, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { dialTo, echoServer } from './helpers/server.ts'

const CONNECTIONS = 100
const BUSY_MS = 2_000

/** The goal is 50 ms. Shared, loaded cores add theirs: this finds starvation, not slowness. */
const LATE_MAX_MS = 250

test.serial(
  'H87: a timer and an HTTP server keep their turn under 100 busy connections',
  async (t) => {
    await leakCheck(t)
    const server = await echoServer(t)
    let messages = 0
    let isOver = false
    const connections: Connection[] = []
    for (let index = 0; index < CONNECTIONS; index++) {
      const connection = await dialTo(t, server.address, {
        onRequest(own) {
          messages++
          if (isOver) own.input.skip(own.input.length)
          else own.writer.append(own.input).flush()
        },
      })
      connections.push(connection)
    }
    const http = createServer((_, response) => response.end('hello'))
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    t.teardown(() => void http.close())
    const before = stats()
    for (const connection of connections) connection.write('x'.repeat(100))
    let late = 0
    let ticks = 0
    let last = performance.now()
    const ticker = setInterval(() => {
      const now = performance.now()
      late = Math.max(late, now - last - 10)
      last = now
      ticks++
    }, 10)
    const { port } = http.address() as AddressInfo
    let pages = 0
    const end = performance.now() + BUSY_MS
    while (performance.now() < end) {
      const page = deferred()
      get({ port, host: '127.0.0.1', agent: false }, (response) => {
        response.resume().on('end', () => page.resolve())
      })
      await within(page.promise, 'a page', 3_000)
      pages++
    }
    isOver = true
    clearInterval(ticker)
    const after = stats()
    t.log(
      `${messages} messages, ${ticks} ticks, ${pages} pages, ${Math.round(late)} ms late at most`,
    )
    t.true(late <= LATE_MAX_MS, `the timer was ${late} ms late`)
    t.true(ticks > 10 && pages > 3)
    t.true(messages > CONNECTIONS * 10, `${messages} messages`)
    const exchanges = after.exchanges - before.exchanges
    // A message is handled twice: by the server and by its client.
    t.true(exchanges < messages / 4, `${exchanges} exchanges for ${messages} round trips`)
  },
)

test.serial('H80: a flooding connection keeps 20 others from no echo and no dial', async (t) => {
  await leakCheck(t)
  const server = await echoServer(t)
  const over = new AbortController()
  const chunk = Buffer.alloc(256 << 10)
  const flooder = await dialTo(t, server.address, {
    onRequest: ({ input }) => input.skip(input.length),
  })
  const flood = (async () => {
    while (!over.signal.aborted) {
      if (!flooder.write(chunk)) await flooder.writer.drained()
    }
  })()
  const others = await Promise.all(Array.from({ length: 20 }, () => dialTo(t, server.address)))
  await within(
    Promise.all(
      others.map(async (connection, index) => {
        for (let round = 0; round < 50; round++) {
          connection.write(`${index}`.padStart(64))
          const text = await connection.reader.readString(64)
          connection.reader.release()
          if (text.trim() !== `${index}`) t.fail(`${text} is another's echo`)
        }
      }),
    ),
    'all echoes',
  )
  for (let index = 0; index < 10; index++) {
    const late = await dialTo(t, server.address)
    late.write('late')
    t.is(await within(late.reader.readString(4), 'an echo'), 'late')
  }
  over.abort()
  await within(flood, 'the flood')
  await eventually(() => flooder.bytesRead === flooder.bytesWritten, 'the rest of the flood')
  t.pass()
})
