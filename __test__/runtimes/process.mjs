// How a process with nodepoll ends, and what not every runtime can do: `process.mjs CASE`.
import { configure, createListener, dial, serve } from 'nodepoll'

const host = '127.0.0.1'

function echo({ input, writer }) {
  writer.append(input).flush()
}

/** Connections that send to and fro without pause. */
async function busy() {
  const server = await serve({ host, port: 0, onRequest: echo })
  const at = { host, port: server.address.port, onRequest: echo }
  const connections = await Promise.all(Array.from({ length: 50 }, () => dial(at)))
  for (const connection of connections) connection.write('x'.repeat(100))
}

const cases = {
  async unref() {
    const server = await serve({ host, port: 0 })
    const connection = await dial({ host, port: server.address.port })
    server.unref()
    connection.unref()
    console.log('unreferenced')
  },

  async ref() {
    const server = await serve({ host, port: 0 })
    const timer = setTimeout(() => server.shutdown().then(() => console.log('closed')), 100)
    timer.unref()
  },

  async exit() {
    await busy()
    setTimeout(() => process.exit(3), 50)
  },

  async throw() {
    await busy()
    setTimeout(() => {
      throw new Error('nobody catches this')
    }, 50)
  },

  async inline() {
    try {
      configure({ host: 'inline' })
      const listener = await createListener({ host })
      await listener.close()
      console.log('inline')
    } catch (error) {
      console.log(`${error.code}: ${error.message}`)
    }
  },

  async guard() {
    configure({ guard: true })
    let view
    const onRequest = ({ input }) => void (view ??= input.next(input.length))
    const server = await serve({ host, port: 0, onRequest })
    const connection = await dial({ host, port: server.address.port })
    connection.write('abc')
    await connection.close()
    await server.shutdown()
    let late = 'does nothing'
    try {
      view.fill(1)
    } catch {
      late = 'throws'
    }
    console.log(`${view.length} bytes, writing ${late}`)
  },
}

await cases[process.argv[2]]()
