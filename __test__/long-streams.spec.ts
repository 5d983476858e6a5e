import test from 'ava'

import { startChild } from './helpers/child.ts'

const GIB = 2 ** 30
/** Beyond the numbers of 31 and of 32 bits. */
const TOTAL = 4 * GIB + 100_000_003

test('H34, H70: 4 GiB and more through one connection are exact, and counted', async (t) => {
  t.timeout(120_000)
  const child = startChild(
    t,
    `
    import { dial, serve, stats } from 'nodepoll'
    const total = ${TOTAL}
    // A prime: no size of a node or a chunk divides it.
    const period = 1_048_573
    const pattern = Buffer.alloc(3 * period)
    for (let at = 0; at < period; at++) pattern[at] = Math.imul(at, 2_654_435_761) >>> 24
    pattern.copy(pattern, period, 0, period)
    pattern.copy(pattern, 2 * period, 0, period)
    let received = 0
    let reached
    const all = new Promise((resolve) => (reached = resolve))
    const marks = [2 ** 31, 2 ** 32]
    const seen = []
    const server = await serve({
      host: '127.0.0.1',
      onRequest(connection) {
        const { input } = connection
        for (const chunk of input.chunks()) {
          const from = received % period
          if (!chunk.equals(pattern.subarray(from, from + chunk.length))) {
            throw new Error('differs at ' + received)
          }
          received += chunk.length
        }
        input.skip(input.length)
        if (connection.bytesRead < received) throw new Error('bytesRead ' + connection.bytesRead)
        if (received >= marks[0]) seen.push(marks.shift())
        if (received === total) reached(connection)
      },
      onError(error) { console.log(error.message); process.exit(1) },
    })
    const client = await dial({ host: '127.0.0.1', port: server.address.port })
    const { writer } = client
    let sent = 0
    while (sent < total) {
      const bytes = Math.min(total - sent, 500_000 + sent % 1000)
      const from = sent % period
      const isFine = client.write(pattern.subarray(from, from + bytes))
      sent += bytes
      const pending = sent - client.bytesWritten
      if (writer.pendingLength !== pending) throw new Error('pendingLength ' + pending)
      if (!isFine) await writer.drained()
    }
    await writer.drained()
    const accepted = await all
    console.log(client.bytesWritten === total, accepted.bytesRead === total, seen.join())
    const { bytesRead, bytesWritten } = stats()
    console.log(bytesRead === total, bytesWritten === total, writer.pendingLength)
    // The next bytes after so many.
    client.write(pattern.subarray(total % period, total % period + 7))
    client.close()
    await accepted.closed
    console.log(accepted.bytesRead - total)
    await server.shutdown()
    `,
  )
  const { code, stdout, stderr } = await child.end(100_000)
  t.deepEqual([code, stderr], [0, ''])
  t.is(stdout, `true true ${2 ** 31},${2 ** 32}\ntrue true 0\n7\n`)
})
