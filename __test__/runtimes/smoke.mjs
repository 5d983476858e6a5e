// The public API in a round, without a test framework: what runs it may be any runtime.
// Prints one line of JSON a check, `{ name, error? }`, and ends by itself.
//
// `npm run test:runtimes` runs it where nodepoll is installed as a package.
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'

import {
  createEventLoop,
  createListener,
  delimited,
  dial,
  isNodepollError,
  lengthPrefixed,
  LinkBuffer,
  NodepollError,
  serve,
  stats,
} from 'nodepoll'

const DEADLINE_MS = 10_000
const host = '127.0.0.1'

/** Servers of the check that runs: they are shut down after it. */
const servers = []

async function serving(options) {
  const server = await serve(options)
  servers.push(server)
  return server
}

/** An echo that copies nothing. */
function echo({ input, writer }) {
  writer.append(input).flush()
}

const checks = {
  'a server and a client exchange bytes': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const connection = await dial({ host, port: server.address.port })
    connection.write('hello, ')
    connection.write(Buffer.from('world'))
    equal(await connection.reader.readString(12), 'hello, world')
    equal(connection.remoteAddress.port, server.address.port)
    await connection.close()
    equal((await connection.closed).by, 'local')
  },

  'a megabyte comes back as it was': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const connection = await dial({ host, port: server.address.port })
    const sent = Buffer.alloc(2 ** 20, 'nodepoll')
    connection.write(sent)
    const received = await connection.reader.readBinary(sent.length)
    equal(Buffer.compare(sent, received), 0)
    await connection.writer.drained()
    connection.destroy()
  },

  'a hundred connections at once are served': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const talk = async (index) => {
      const connection = await dial({ host, port: server.address.port })
      for (let round = 0; round < 20; round++) {
        const text = `${index}/${round};`
        connection.write(text)
        equal(await connection.reader.readString(text.length), text)
      }
      await connection.close()
    }
    await Promise.all(Array.from({ length: 100 }, (_, index) => talk(index)))
  },

  'peers of node:net are served': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const socket = net.connect(server.address.port, host)
    socket.write('ping')
    const [data] = await once(socket, 'data')
    equal(data.toString(), 'ping')
    socket.end()
    await once(socket, 'close')
  },

  'unix sockets are listened on and dialled': async () => {
    if (process.platform === 'win32') return
    const path = join(tmpdir(), `nodepoll-smoke-${process.pid}.sock`)
    const server = await serving({ path, onRequest: echo })
    equal(server.address.path, path)
    const connection = await dial({ path })
    connection.write('unix')
    equal(await connection.reader.readString(4), 'unix')
    connection.destroy()
  },

  'handlers, context and close callbacks come in their order': async () => {
    const seen = []
    const server = await serving({
      host,
      port: 0,
      onConnect(connection) {
        seen.push('connect')
        connection.addCloseCallback((_, { by }) => void seen.push(`closed by ${by}`))
        return { requests: 0 }
      },
      async onRequest({ input }, context) {
        context.requests++
        seen.push(`request ${context.requests}: ${input.readString(input.length)}`)
      },
      onDisconnect: () => void seen.push('disconnect'),
    })
    const connection = await dial({ host, port: server.address.port })
    connection.write('one')
    await until(() => seen.length === 2)
    await connection.close()
    await server.shutdown()
    equal(seen.join(), 'connect,request 1: one,disconnect,closed by peer')
  },

  'one loop serves several listeners': async () => {
    const loop = createEventLoop({ onRequest: echo })
    const listeners = [await createListener({ host }), await createListener({ host })]
    const served = Promise.all(listeners.map((listener) => loop.serve(listener)))
    for (const { address } of listeners) {
      const connection = await dial({ host, port: address.port })
      connection.write('x')
      equal(await connection.reader.readString(1), 'x')
      await connection.close()
    }
    await loop.shutdown()
    await served
  },

  'frames are cut, read and written': async () => {
    const framing = lengthPrefixed()
    const lines = delimited({ delimiter: '\n' })
    const server = await serving({
      host,
      port: 0,
      onRequest: framing.onFrame((frame, { writer }) => lines.write(writer, frame)),
    })
    const connection = await dial({ host, port: server.address.port })
    framing.write(connection.writer, 'first')
    framing.write(connection.writer, 'second')
    connection.writer.flush()
    equal((await lines.read(connection)).toString(), 'first')
    equal((await lines.read(connection)).toString(), 'second')
    connection.destroy()
  },

  'buffers are read and written in every way': () => {
    const buffer = new LinkBuffer()
    buffer
      .writeString('text;')
      .writeUInt16BE(513)
      .writeDoubleLE(0.5)
      .writeBigUInt64BE(2n ** 60n)
    buffer.writeBinary(Buffer.alloc(10_000, 1))
    buffer.malloc(3).fill(2)
    buffer.flush()
    equal(buffer.until(0x3b).toString(), 'text;')
    equal(buffer.peekUInt16BE(0), 513)
    equal(buffer.readUInt16BE(), 513)
    equal(buffer.readDoubleLE(), 0.5)
    equal(buffer.readBigUInt64BE(), 2n ** 60n)
    equal(buffer.slice(10_000).length, 10_000)
    equal(buffer.indexOf(2), 0)
    equal(buffer.next(3).toString('hex'), '020202')
    equal(buffer.length, 0)
    buffer.release()
    throws(() => buffer.next(1), 'ERR_NODEPOLL_SHORT_BUFFER')
    buffer.close()
  },

  'a stream is iterated until its end': async () => {
    const server = await serving({
      host,
      port: 0,
      async onConnect(connection) {
        for (const part of ['a', 'b', 'c']) connection.write(part.repeat(1000))
        await connection.close()
      },
    })
    const connection = await dial({ host, port: server.address.port })
    let bytes = 0
    for await (const chunk of connection.reader) bytes += chunk.length
    equal(bytes, 3000)
    await rejects(connection.reader.readByte(), 'ERR_NODEPOLL_EOF')
  },

  'one direction is closed and the other goes on': async () => {
    const server = await serving({
      host,
      port: 0,
      allowHalfOpen: true,
      async onRequest({ input, reader, writer }) {
        await reader.wait(input.length + 1).catch(() => {})
        writer.append(input).flush()
        await writer.drained()
      },
    })
    const connection = await dial({ host, port: server.address.port, allowHalfOpen: true })
    connection.write('all of it')
    await connection.closeWrite()
    equal(await connection.reader.readString(9), 'all of it')
    connection.destroy()
  },

  'errors of the system and of our own have their codes': async () => {
    const error = await dial({ host, port: 1 }).catch((reason) => reason)
    equal(isNodepollError(error, 'ECONNREFUSED'), true)
    equal(error instanceof NodepollError, true)
    equal(error.syscall, 'connect')
    const server = await serving({ host, port: 0, onRequest: echo })
    const taken = { host, port: server.address.port }
    await rejects(createListener(taken), 'EADDRINUSE')
    throws(() => createEventLoop({ onRequest: 1 }), 'ERR_INVALID_ARG_TYPE')
  },

  'timeouts and signals end what waits': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const connection = await dial({ host, port: server.address.port, readTimeoutMs: 20 })
    await rejects(connection.reader.readByte(), 'ERR_NODEPOLL_READ_TIMEOUT')
    connection.setIdleTimeout(20)
    equal((await connection.closed).by, 'timeout')
    const signal = AbortSignal.abort(new Error('enough'))
    const aborted = await dial({ host, port: server.address.port, signal }).catch((error) => error)
    equal(aborted.message, 'enough')
  },

  'a paused connection is not read until it is resumed': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const connection = await dial({ host, port: server.address.port })
    connection.pause().write('later')
    await new Promise((resolve) => setTimeout(resolve, 50))
    equal(connection.input.length, 0)
    connection.resume()
    equal(await connection.reader.readString(5), 'later')
    connection.destroy()
  },

  'handlers run in the asynchronous context of their loop': async () => {
    const storage = new AsyncLocalStorage()
    let seen
    const options = { host, port: 0, onRequest: () => void (seen = storage.getStore()) }
    const server = await storage.run('mine', () => serving(options))
    const connection = await dial({ host, port: server.address.port })
    connection.write('x')
    await until(() => seen !== undefined)
    equal(seen, 'mine')
    connection.destroy()
  },

  'an error of a handler ends its connection and goes to onError': async () => {
    const errors = []
    const server = await serving({
      host,
      port: 0,
      onRequest: () => Promise.reject(new Error('mine')),
      onError: (error) => void errors.push(error.message),
    })
    const connection = await dial({ host, port: server.address.port })
    connection.write('x')
    await connection.closed
    await until(() => errors.length > 0)
    equal(errors.join(), 'mine')
  },

  'the memory behind a view cannot be taken away': async () => {
    const server = await serving({ host, port: 0, onRequest: echo })
    const connection = await dial({ host, port: server.address.port })
    connection.write('still here')
    await connection.reader.wait(10)
    const { buffer } = connection.input.peek(10)
    const thefts = {
      structuredClone: () => structuredClone(buffer, { transfer: [buffer] }),
      transfer: () => buffer.transfer?.(),
      resize: () => buffer.resize?.(0),
    }
    for (const [name, steal] of Object.entries(thefts)) {
      try {
        steal()
      } catch {
        // Refusing is the best answer.
      }
      if (connection.input.peek(10).length === 0) throw new Error(`${name} has taken it`)
    }
    equal(connection.input.readString(10), 'still here')
    connection.destroy()
  },

  'what opens and closes is published': async () => {
    const seen = []
    const note = (_, name) => void seen.push(name.split(':').at(-1))
    const channels = ['nodepoll:connection:open', 'nodepoll:connection:close']
    for (const name of channels) subscribe(name, note)
    const server = await serving({ host, port: 0, onRequest: echo })
    const connection = await dial({ host, port: server.address.port })
    await connection.close()
    await until(() => seen.length === 4)
    for (const name of channels) unsubscribe(name, note)
    equal(seen.toSorted().join(), 'close,close,open,open')
  },

  'require() gives the same objects': () => {
    const required = createRequire(import.meta.url)('nodepoll')
    const imported = { dial, LinkBuffer, NodepollError, serve, stats }
    for (const [name, value] of Object.entries(imported)) equal(required[name], value)
  },

  'workers have runtimes of their own, and may be ended at any time': async () => {
    for (const ending of ['by itself', 'by terminate']) {
      const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: ending })
      const [message] = await once(worker, 'message')
      equal(message, 'echoed')
      if (ending === 'by terminate') await worker.terminate()
      else await once(worker, 'exit')
    }
  },

  'what has ended leaves nothing behind': async () => {
    await until(() => stats().connections === 0 && stats().listeners === 0)
    equal(stats().handlersPending, 0)
  },
}

function equal(actual, expected) {
  if (!Object.is(actual, expected)) throw new Error(`${String(actual)} is not ${String(expected)}`)
}

async function rejects(promise, code) {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  equal(error?.code, code)
}

function throws(call, code) {
  try {
    call()
  } catch (error) {
    return equal(error.code, code)
  }
  throw new Error(`nothing was thrown, and ${code} was due`)
}

async function until(condition) {
  const end = performance.now() + DEADLINE_MS / 2
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never came true: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Bounded, since a runtime that forgets a wake-up would wait for ever. */
async function bounded(check) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${DEADLINE_MS} ms`)), DEADLINE_MS)
  })
  const whole = async () => {
    await check()
    await Promise.all(servers.map((server) => server.shutdown({ deadlineMs: 3000 })))
  }
  try {
    await Promise.race([whole(), late])
  } finally {
    clearTimeout(timer)
    // What a failed check has left open must not hold the process.
    for (const server of servers.splice(0)) {
      server.shutdown({ deadlineMs: 1, force: true }).catch(() => {})
    }
  }
}

for (const [name, check] of Object.entries(checks)) {
  const outcome = { name }
  try {
    await bounded(check)
  } catch (error) {
    outcome.error = String(error?.message ?? error)
  }
  console.log(JSON.stringify(outcome))
}
