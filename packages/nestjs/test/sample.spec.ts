import test, { type ExecutionContext } from 'ava'

import { Program } from '../../testing/program.ts'

// Elsewhere a signal kills without giving the program the chance to end well.
const onPosix = process.platform === 'win32' ? test.skip : test.serial

const service = (t: ExecutionContext, port = '0') => new Program(t, 'sample/stock.service.ts', port)

async function portOf(program: Program): Promise<string> {
  const [, port = ''] = await program.says(/listening on (\d+)/)
  return port
}

/** What orders have come to: made, sold, told. */
async function totals(orders: Program): Promise<[made: number, sold: number, told: number]> {
  await orders.end('SIGTERM')
  const match = /made (\d+), sold (\d+), told (\d+)/.exec(orders.output)
  const [made = Number.NaN, sold = Number.NaN, told = Number.NaN] =
    match?.slice(1).map(Number) ?? []
  return [made, sold, told]
}

/** What a service has come to. */
async function stockOf(program: Program): Promise<{ reserved: number; sold: number }> {
  const [, reserved, sold] = await program.says(/reserved (\d+) sold (\d+)/)
  return { reserved: Number(reserved), sold: Number(sold) }
}

onPosix('sample: a graceful restart under load loses no order and no event', async (t) => {
  const first = service(t)
  const port = await portOf(first)
  const orders = new Program(t, 'sample/orders.ts', port)
  await orders.says(/made 300/)
  const second = service(t, port)
  await portOf(second)
  const from = orders.output.length
  t.is(await first.end('SIGTERM'), 0)
  await orders.says(new RegExp(`answered by ${second.child.pid}[^]*made \\d+00`), from)
  const [made, sold, told] = await totals(orders)
  t.is(told, 0)
  t.is(await second.end('SIGTERM'), 0)
  const stocks = [await stockOf(first), await stockOf(second)]
  t.is(
    stocks.reduce((sum, each) => sum + each.reserved, 0),
    made,
  )
  t.is(
    stocks.reduce((sum, each) => sum + each.sold, 0),
    sold,
  )
  t.deepEqual([first.errors, second.errors, orders.errors], ['', '', ''])
})

onPosix('sample: callers of a killed service are told, and go on with the next one', async (t) => {
  const first = service(t)
  const port = await portOf(first)
  const orders = new Program(t, 'sample/orders.ts', port)
  await orders.says(/made 300/)
  await first.end('SIGKILL')
  await orders.says(/told ERR_NODEPOLL_NESTJS_CONNECTION_CLOSED/)
  const second = service(t, port)
  await portOf(second)
  const from = orders.output.length
  await orders.says(new RegExp(`answered by ${second.child.pid}[^]*made \\d+00`), from)
  const [, , told] = await totals(orders)
  t.true(told >= 1)
  t.is(await second.end('SIGTERM'), 0)
})
