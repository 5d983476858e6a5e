import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { createListener, dial } from 'nodepoll'

import { eventually, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { echoServer, portOf, startNetServer, temporaryPath, whereOf } from './helpers/server.ts'

const CHILDREN = 40

/** A program that lives until the test ends, with what it has inherited. */
async function startSleeper(
  t: ExecutionContext<unknown>,
  ...stdio: (Socket | 'ignore')[]
): Promise<ChildProcess & { pid: number }> {
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', ...stdio] })
  t.teardown(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  await within(once(child, 'spawn'), 'a child')
  return child as ChildProcess & { pid: number }
}

/** What a process has open: sockets, pollers and the like; not files. */
function openIn(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder)
    .map((name) => targetOf(`${folder}/${name}`))
    .filter((target) => !target.startsWith('/'))
}

/** Where a link leads. What the program itself has closed meanwhile counts as a file. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return '/'
  }
}

test.serial('H23, H67: children inherit nothing of ours, also under steady traffic', async (t) => {
  if (process.platform !== 'linux') {
    t.log('skipped: there is no /proc')
    t.pass()
    return
  }
  // Before anything of ours is open: what this process has inherited itself.
  const usual = openIn((await startSleeper(t)).pid)
  await leakCheck(t)
  const servers = [await echoServer(t), await echoServer(t, { path: temporaryPath(t) })]
  const { port } = await startNetServer(t, (socket) => void socket.pipe(socket))
  const targets = [...servers.map(({ address }) => whereOf(address)), whereOf(port)]
  const state = { isOver: false }
  t.teardown(() => (state.isOver = true))
  let dials = 0
  const traffic = Array.from({ length: 12 }, async (_, index) => {
    while (!state.isOver) {
      const connection = await dial(targets[index % targets.length] as { port: number })
      connection.write('echo')
      await connection.reader.skip(4)
      if (dials++ % 2 === 0) await connection.close()
      else connection.destroy()
      // Listeners come and go as well.
      if (index === 0) await (await createListener({ host: '127.0.0.1' })).close()
    }
  })
  const inherited: string[][] = []
  for (let round = 0; round < CHILDREN; round++) {
    const before = dials
    await eventually(() => dials >= before + 3, 'traffic between children')
    const { pid } = await startSleeper(t)
    inherited.push(openIn(pid))
  }
  state.isOver = true
  await within(Promise.all(traffic), 'the end of the traffic')
  t.deepEqual(
    inherited,
    inherited.map(() => usual),
  )
  // This is what it would look like.
  const peer = await Peer.connect(t, (servers[0] as (typeof servers)[0]).address)
  const { pid } = await startSleeper(t, peer.socket)
  t.deepEqual(
    openIn(pid)
      .map((target) => target.split(':')[0])
      .toSorted(),
    [...usual.map((target) => target.split(':')[0]), 'socket'].toSorted(),
  )
})

test.serial(
  'H67: with children alive ends are seen at once, and ports are free again',
  async (t) => {
    await leakCheck(t)
    const server = await echoServer(t)
    const ended = new Set<Socket>()
    const net = await startNetServer(t, (socket) => {
      socket.on('end', () => ended.add(socket)).resume()
    })
    const dialled = await dial({ host: '127.0.0.1', port: net.port })
    const peer = await Peer.connect(t, server.address)
    await peer.send('echo')
    await peer.read(4)
    for (let index = 0; index < 3; index++) await startSleeper(t)
    for (const connection of server.loop.connections()) void connection.close()
    t.is((await within(peer.readToEnd(), 'FIN', 1_000)).length, 0)
    await within(dialled.close(), 'close()', 1_000)
    t.is(ended.size, 1)
    await server.close()
    await failureOf(dial(whereOf(server.address) as { host: string; port: number }))
    const again = await createListener({ host: '127.0.0.1', port: portOf(server.address) })
    await again.close()
  },
)
