import test from 'ava'

import { startBlackHole } from './helpers/black-hole.ts'
import { runChild } from './helpers/child.ts'

test('H65: a panic in one of two pollers ends its connections only', async (t) => {
  const { code, signal, stdout } = await runChild(
    t,
    `
    import { configure, createEventLoop, createListener, dial } from 'nodepoll'
    import { currentRuntime } from './dist/internal/runtime.js'
    import { COMMAND_FAULT } from './dist/native/record.js'

    configure({ pollers: 2 })
    const errors = []
    const loop = createEventLoop({
      onRequest: ({ input, writer }) => void writer.append(input).flush(),
      onError: (error, connection) => void errors.push([error.code, connection]),
    })
    const listeners = []
    for (let index = 0; index < 2; index++) {
      listeners.push(await createListener({ host: '127.0.0.1' }))
    }
    const served = listeners.map((listener) => loop.serve(listener))
    const portOf = ({ address }) => ({ host: '127.0.0.1', port: address.port })
    const connections = []
    for (let index = 0; index < 100; index++) {
      connections.push(await dial(portOf(listeners[index % 2])))
    }
    const echoes = async (connection) => {
      connection.write('hello')
      try {
        return (await connection.reader.readString(5)) === 'hello'
      } catch {
        return false
      }
    }
    const count = (results) => results.filter(Boolean).length
    console.log('before', count(await Promise.all(connections.map(echoes))))

    const accepted = [...loop.connections()]
    const pending = accepted.map(async (connection) => {
      const reason = await connection.closed
      return reason.error?.code
    })
    const { dispatcher } = currentRuntime()
    dispatcher.lanes[0].command(COMMAND_FAULT, 0, 0)
    dispatcher.schedule()
    await Promise.race(pending)
    await new Promise((resolve) => setTimeout(resolve, 100))

    const alive = accepted.filter((connection) => connection.isActive)
    const codes = new Set(
      await Promise.all(accepted.filter((one) => !one.isActive).map(async (one) => {
        const { by, error } = await one.closed
        return by + ' ' + error?.code
      })),
    )
    console.log('some ended', alive.length < 100, 'some live', alive.length > 0)
    console.log('reasons', [...codes].sort().join())
    console.log('heard', [...new Set(errors.map(([code]) => code))].join(), errors.length)

    const living = connections.filter((connection) => connection.isActive)
    const again = count(await Promise.all(living.map(echoes)))
    console.log('still echoing', again > 0 && again === living.length)

    let opened = 0
    for (const listener of listeners) {
      try {
        const connection = await dial(portOf(listener))
        if (await echoes(connection)) opened++
        connection.destroy()
      } catch {}
    }
    console.log('listeners that still accept', opened)
    for (const connection of connections) connection.destroy()
    await loop.shutdown()
    await Promise.all(served)
    console.log('shut down')
    `,
  )
  const lines = stdout.split('\n')
  t.is(lines[0], 'before 100')
  t.is(lines[1], 'some ended true some live true')
  t.regex(lines[2] ?? '', /error ERR_NODEPOLL_LOOP_FAILED/)
  t.regex(lines[3] ?? '', /^heard ERR_NODEPOLL_LOOP_FAILED \d+$/)
  t.is(lines[4], 'still echoing true')
  // Pollers take turns with listeners: one of the two is with the other poller.
  t.is(lines[5], 'listeners that still accept 1')
  t.is(lines[6], 'shut down')
  t.deepEqual([code, signal], [0, null])
})

test('H65, H107: with its only poller gone every pending promise settles', async (t) => {
  const { port } = await startBlackHole(t)
  const { code, signal, stdout } = await runChild(
    t,
    `
    import { configure, dial, serve } from 'nodepoll'
    import { currentRuntime } from './dist/internal/runtime.js'
    import { COMMAND_FAULT } from './dist/native/record.js'
    configure({ pollers: 1 })
    let heard = 0
    const server = await serve({ host: '127.0.0.1', port: 0, onError: () => void heard++ })
    const connection = await dial({ host: '127.0.0.1', port: server.address.port })
    const codeOf = (promise) => promise.then(() => 'resolved', (error) => error.code)
    const pending = [
      codeOf(connection.reader.next(1)),
      connection.closed.then(({ by, error }) => by + ' ' + error.code),
      codeOf(server.finished),
      codeOf(server.close()),
      codeOf(server.shutdown()),
    ]
    connection.write(Buffer.alloc(20 << 20))
    pending.push(codeOf(connection.writer.drained()))
    pending.push(codeOf(dial({ host: '127.0.0.1', port: ${port} })))
    await new Promise(setImmediate)
    const { dispatcher } = currentRuntime()
    dispatcher.lanes[0].command(COMMAND_FAULT, 0, 0)
    dispatcher.schedule()
    for (const outcome of await Promise.all(pending)) console.log(outcome)
    console.log('heard', heard)
    `,
  )
  t.deepEqual([code, signal], [0, null])
  t.deepEqual(stdout.trim().split('\n'), [
    'ERR_NODEPOLL_LOOP_FAILED',
    'error ERR_NODEPOLL_LOOP_FAILED',
    'resolved',
    'resolved',
    'resolved',
    'ERR_NODEPOLL_LOOP_FAILED',
    'ERR_NODEPOLL_LOOP_FAILED',
    'heard 1',
  ])
})
