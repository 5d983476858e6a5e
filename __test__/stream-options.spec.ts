import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as net from 'node:net'

import test from 'ava'
import * as stream from 'nodepoll/stream'

import { startBlackHole } from './helpers/black-hole.ts'
import { deferred, eventually, within } from './helpers/deadline.ts'
import { closed, compare } from './helpers/parity.ts'

for (const name of ['highWaterMark', 'readableHighWaterMark', 'writableHighWaterMark'] as const) {
  test(`as with node:net: the option ${name}`, async (t) => {
    await compare(t, async (module, run) => {
      const port = await run.listen(net.createServer((peer) => peer.end()))
      const options = { port, host: '127.0.0.1', [name]: 1000 }
      const { readableHighWaterMark, writableHighWaterMark } = run.watch(
        'socket',
        module.connect(options),
      )
      run.log('marks', `${readableHighWaterMark} ${writableHighWaterMark}`)
      const socket = new module.Socket({ [name]: 2000 } as net.SocketConstructorOpts)
      run.log('marks', `${socket.readableHighWaterMark} ${socket.writableHighWaterMark}`)
    })
  })
}

test('as with node:net: options of the look-up of a name', async (t) => {
  await compare(t, async (module, run) => {
    const port = await run.listen(net.createServer((peer) => peer.end()))
    const ways: Partial<net.TcpNetConnectOpts>[] = [
      {},
      { autoSelectFamily: false },
      { hints: 1, autoSelectFamily: true },
      { family: 6 },
      { localAddress: '127.0.0.1' },
    ]
    for (const way of ways) {
      const socket = module.connect({
        port,
        host: 'some.where',
        ...way,
        lookup: (_, options, done) => {
          run.log('lookup', JSON.stringify({ ...options, hints: options.hints ?? 0 }))
          if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }])
          else done(null, '127.0.0.1', 4)
        },
      })
      run.watch('socket', socket)
      await closed(socket)
    }
  })
})

test('as with node:net: an address that does not answer is given up for the next', async (t) => {
  const { port } = await startBlackHole(t, '127.0.0.2')
  await compare(t, async (module, run) => {
    const server = net.createServer((peer) => peer.end())
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const socket = module.connect({
      port,
      host: 'two.places',
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: 20,
      lookup: (_, __, done) => {
        const found = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }))
        setImmediate(done, null, found)
      },
    })
    for (const event of ['connectionAttempt', 'connectionAttemptTimeout']) {
      socket.on(event, (address: string, _: number, family: number) => {
        run.log('attempts', `${event} ${address} ${family}`)
      })
    }
    run.watch('socket', socket)
    socket.on('connect', () => run.log('socket', String(socket.remoteAddress)))
    await closed(socket)
    server.close()
    await closed(server)
  })
})

function hex(port = 0): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

/** Whether the system has a timer for silent peers on a connection of this machine. */
function isProbed({ localPort, remotePort }: stream.Socket): boolean {
  const ends = `:${hex(localPort)} [0-9A-F]+:${hex(remotePort)} `
  const row = new RegExp(`${ends}[0-9A-F]{2} \\S+ (\\d\\d):`).exec(
    readFileSync('/proc/net/tcp', 'utf8'),
  )
  return row?.[1] === '02'
}

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux(
  'keepAlive and keepAliveInitialDelay turn probes on, setKeepAlive turns them off',
  async (t) => {
    const options = { keepAlive: true, keepAliveInitialDelay: 10_000 }
    for (const given of [options, { keepAlive: true }, {}]) {
      const accepted = deferred<stream.Socket>()
      const server = stream.createServer(given, accepted.resolve)
      server.listen({ port: 0, host: '127.0.0.1', exclusive: true })
      await once(server, 'listening')
      const { port } = server.address() as net.AddressInfo
      const socket = stream.connect({ port, host: '127.0.0.1', ...given })
      await once(socket, 'connect')
      const other = await within(accepted.promise, 'an accepted socket')
      for (const each of [socket, other]) {
        await eventuallyProbed(each, given.keepAlive === true)
        each.setKeepAlive(given.keepAlive !== true, 5000)
        await eventuallyProbed(each, given.keepAlive !== true)
      }
      t.is(socket.encrypted, undefined)
      t.is(socket.alpnProtocol, undefined)
      socket.destroy()
      server.close()
      other.resume()
      await within(once(server, 'close'), 'the end of a server')
    }
  },
)

/** The driver sets options of sockets in its own time. */
async function eventuallyProbed(socket: stream.Socket, expected: boolean): Promise<void> {
  await eventually(() => isProbed(socket) === expected, `probes: ${expected}`)
}
