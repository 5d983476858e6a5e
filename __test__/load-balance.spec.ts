import { once } from 'node:events'
import { connect } from 'node:net'

import test from 'ava'

import { runChild, startChild } from './helpers/child.ts'
import { within } from './helpers/deadline.ts'

const ROUND = 100

for (const rule of ['roundRobin', 'random', 'leastConnections']) {
  test.serial(`with '${rule}' and three pollers all connections echo`, async (t) => {
    const child = startChild(
      t,
      `
      import { configure, dial, serve, stats } from 'nodepoll'
      configure({ pollers: 3, loadBalance: '${rule}' })
      const echo = ({ input, writer }) => void writer.append(input).flush()
      const server = await serve({ host: '127.0.0.1', onRequest: echo })
      const at = { host: '127.0.0.1', port: server.address.port }
      let exact = 0
      await Promise.all(Array.from({ length: ${ROUND} }, async (_, number) => {
        const connection = await dial(at)
        for (let size = 1; size < 100_000; size *= 9) {
          const bytes = Buffer.alloc(size, number)
          connection.write(bytes)
          if ((await connection.reader.readBinary(size)).equals(bytes)) exact++
        }
        // They end at different times, so that the pollers have different loads.
        if (number % 3 === 0) await connection.close()
        else connection.destroy()
      }))
      await server.shutdown()
      const { connections, accepts, pollers } = stats()
      console.log(JSON.stringify({ connections, accepts, pollers, exact }))
      `,
    )
    const { code, stdout, stderr } = await child.end()
    t.deepEqual([code, stderr], [0, ''])
    t.deepEqual(JSON.parse(stdout), {
      connections: 0,
      accepts: ROUND,
      pollers: 3,
      exact: 6 * ROUND,
    })
  })
}

for (const pollers of [1, 64]) {
  test.serial(`H7: ${pollers} pollers work, and end with the process`, async (t) => {
    const { code, signal, stdout, stderr } = await runChild(
      t,
      `
      import { configure, dial, serve, stats } from 'nodepoll'
      configure({ pollers: ${pollers} })
      const echo = ({ input, writer }) => void writer.append(input).flush()
      const server = await serve({ host: '127.0.0.1', onRequest: echo })
      const at = { host: '127.0.0.1', port: server.address.port }
      const echoes = await Promise.all(Array.from({ length: 200 }, async (_, number) => {
        const connection = await dial(at)
        connection.write('number ' + number)
        const text = await connection.reader.readString(('number ' + number).length)
        await connection.close()
        return text === 'number ' + number
      }))
      console.log(stats().pollers, echoes.length, echoes.every(Boolean))
      await server.shutdown()
      `,
    )
    t.deepEqual([code, signal, stdout, stderr], [0, null, `${pollers} 200 true\n`, ''])
  })
}

const CONNECTIONS = 2_000

for (const rule of ['roundRobin', 'leastConnections']) {
  test.serial(
    `H86: ${CONNECTIONS} connections that send and close at once, over 4 pollers by ${rule}`,
    async (t) => {
      const child = startChild(
        t,
        `
        import { configure, serve } from 'nodepoll'
        configure({ pollers: 4, loadBalance: '${rule}' })
        const stories = new Map()
        const counts = {}
        const tell = (connection, what) => stories.get(connection).push(what)
        let ended = 0
        const server = await serve({
          host: '127.0.0.1',
          onPrepare(connection) {
            stories.set(connection, ['prepare'])
            return { text: '' }
          },
          onConnect(connection) {
            tell(connection, 'connect')
            connection.addCloseCallback((_, { by }) => {
              const story = stories.get(connection).join(' ') + ' closed by ' + by
              stories.delete(connection)
              counts[story] = (counts[story] ?? 0) + 1
              if (++ended === ${CONNECTIONS}) console.log(JSON.stringify(counts))
            })
          },
          onRequest(connection, context) {
            if (context.text === '') tell(connection, 'request')
            context.text += connection.input.readString(connection.input.length)
            const [, size, rest] = /^(\\d+):(.*)$/.exec(context.text) ?? []
            if (size !== undefined && rest.length === Number(size)) tell(connection, 'whole')
          },
          onDisconnect: (connection) => tell(connection, 'disconnect'),
        })
        console.log('port', server.address.port)
        process.on('SIGTERM', () => server.shutdown().then(() => process.exit(0)))
        `,
      )
      const [, port] = await child.line(/port (\d+)/)
      for (let sent = 0; sent < CONNECTIONS; sent += ROUND) {
        const sockets = Array.from({ length: ROUND }, async (_, index) => {
          const socket = connect(Number(port), '127.0.0.1').resume()
          const size = (sent + index) % 1_000
          socket.end(`${size}:${'x'.repeat(size)}`)
          await once(socket, 'close')
        })
        await within(Promise.all(sockets), 'the ends of all sockets')
      }
      const [json] = await child.line(/^\{.*\}$/m)
      const counts = JSON.parse(json) as Record<string, number>
      // FIN may come with the bytes or after them; nothing else is open.
      const expected = [
        'prepare connect request whole disconnect closed by peer',
        'prepare connect disconnect request whole closed by peer',
        'prepare connect request disconnect whole closed by peer',
      ]
      t.deepEqual(
        Object.keys(counts).filter((story) => !expected.includes(story)),
        [],
        json,
      )
      t.is(
        Object.values(counts).reduce((sum, count) => sum + count),
        CONNECTIONS,
      )
      child.process.kill('SIGTERM')
      const { code, stderr } = await child.end()
      t.deepEqual([code, stderr], [0, ''])
    },
  )
}
