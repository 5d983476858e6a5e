import test, { type ExecutionContext } from 'ava'

import { freePort } from '../../../scripts/free-port.mjs'
import { Program } from '../../testing/program.ts'

// Elsewhere a signal kills without giving the program the chance to end well.
const onPosix = process.platform === 'win32' ? test.skip : test.serial

async function stock(t: ExecutionContext, nodeID: string, port: number): Promise<Program> {
  const program = new Program(t, 'sample/stock.service.ts', nodeID, String(port))
  await program.says(/listening on/)
  return program
}

/** What orders have come to. */
async function totals(orders: Program): Promise<[made: number, told: number]> {
  t0(await orders.end('SIGTERM'))
  const [, made, told] = /made (\d+), told (\d+)/.exec(orders.output) ?? []
  return [Number(made), Number(told)]
}

function t0(code: number | null): void {
  if (code !== 0) throw new Error(`orders have ended with ${code}`)
}

async function reservedOf(program: Program): Promise<number> {
  if (program.child.exitCode === null) await program.end('SIGTERM')
  return Number(/reserved (\d+)/.exec(program.output)?.[1])
}

onPosix('sample: a graceful restart under load loses no order', async (t) => {
  const ports = [await freePort(), await freePort()] as const
  const first = await stock(t, 'stock-1', ports[0])
  const second = await stock(t, 'stock-2', ports[1])
  const orders = new Program(t, 'sample/orders.ts', ...ports.map(String))
  await orders.says(/stock-1 has made 100/)
  t.is(await first.end('SIGTERM'), 0)
  const third = await stock(t, 'stock-1b', ports[0])
  await orders.says(/stock-1b has made 100/)
  const [made, told] = await totals(orders)
  t.is(told, 0)
  const reserved = await Promise.all([first, second, third].map(reservedOf))
  t.is(
    reserved.reduce((sum, count) => sum + count, 0),
    made,
  )
})

onPosix('sample: callers of a killed node are told, and the other nodes go on', async (t) => {
  const ports = [await freePort(), await freePort()] as const
  const first = await stock(t, 'stock-1', ports[0])
  const second = await stock(t, 'stock-2', ports[1])
  const orders = new Program(t, 'sample/orders.ts', ...ports.map(String))
  await orders.says(/stock-1 has made 100/)
  await first.end('SIGKILL')
  await orders.says(/told RequestRejectedError/)
  const from = orders.output.length
  await orders.says(/stock-2 has made \d+00/, from)
  const [, told] = await totals(orders)
  // As many as it could have had under way.
  t.true(told >= 1 && told <= 16)
  t.is(await second.end('SIGTERM'), 0)
})
