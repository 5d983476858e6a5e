import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo, Server, Socket } from 'node:net'

import test from 'ava'
import type { Connection } from 'nodepoll'

import { failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { startProgram, stopProgram } from './helpers/program.ts'

interface Calculator {
  add(a: number, b: number): Promise<number>
}

interface ThriftConnection {
  end(): void
  on(event: string, listener: (error: Error) => void): void
}

/** What is used here of the package, whose types nobody needs for that. */
interface Thrift {
  createConnection(host: string, port: number, options: object): ThriftConnection
  createClient(Client: unknown, connection: ThriftConnection): Calculator
  createServer(Processor: unknown, handler: object, options: object): Server
  TFramedTransport: unknown
  TBinaryProtocol: unknown
}

const thrift = createRequire(import.meta.url)('thrift') as Thrift
const stock = { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol }

const { CalculatorClient, CalculatorProcessor } = (await import(
  // Not known to the compiler: examples are JavaScript.
  String(new URL('../examples/thrift/calculator.mjs', import.meta.url))
)) as { CalculatorClient: unknown; CalculatorProcessor: unknown }
const { connectThrift } = (await import(
  String(new URL('../examples/thrift/framed.mjs', import.meta.url))
)) as {
  connectThrift(
    Client: unknown,
    options: object,
  ): Promise<{ client: Calculator; connection: Connection }>
}

const onPosix = process.platform === 'win32' ? test.skip : test.serial

onPosix('a stock client of Thrift calls a server on nodepoll', async (t) => {
  const server = await startProgram(t, 'examples/thrift/server.mjs', ['0'])
  const connection = thrift.createConnection('127.0.0.1', server.port, stock)
  connection.on('error', (error) => t.fail(error.message))
  const client = thrift.createClient(CalculatorClient, connection)
  const sums = Array.from({ length: 500 }, (_, index) => client.add(index, -2 * index))
  t.deepEqual(
    await within(Promise.all(sums), 'the sums'),
    sums.map((_, index) => 0 - index),
  )
  connection.end()
  await stopProgram(t, server)
})

test.serial('a client on nodepoll calls a stock server of Thrift', async (t) => {
  await leakCheck(t)
  const handler = { add: (a: number, b: number) => a + b }
  const server = thrift.createServer(CalculatorProcessor, handler, stock)
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { client, connection } = await connectThrift(CalculatorClient, { host: '127.0.0.1', port })
  const sums = Array.from({ length: 500 }, (_, index) => client.add(2 ** 20, index))
  t.deepEqual(
    await within(Promise.all(sums), 'the sums'),
    sums.map((_, index) => 2 ** 20 + index),
  )
  const lost = failureOf(client.add(1, 1))
  for (const socket of sockets) socket.destroy()
  t.is((await lost).message, 'the connection has ended')
  await connection.closed
})
