// The process of one server of `nodepoll bench`: an echo on `node:net` or on nodepoll, which says
// what it has used whenever it is asked.
import { type AddressInfo, createServer } from 'node:net'
import { performance } from 'node:perf_hooks'

import { type Contender, type FromServer } from './messages.ts'

const starts: Record<Contender, () => Promise<number>> = {
  'node:net': startNodeNet,
  nodepoll: startNodepoll,
}

const port = await starts[process.argv[2] as Contender]()
tell({ port })
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  tell({ cpuMicros: user + system, activeMs: performance.eventLoopUtilization().active })
})
// The one who measures has gone.
process.on('disconnect', () => process.exit())
// Ctrl-C is for that one to see.
process.on('SIGINT', () => {})

function startNodeNet(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (data) => {
      if (!socket.write(data)) socket.pause()
    })
    socket.on('drain', () => socket.resume())
    socket.on('error', () => socket.destroy())
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

async function startNodepoll(): Promise<number> {
  const { serve } = await import('../../index.ts')
  const server = await serve({
    host: '127.0.0.1',
    onRequest({ input, writer }) {
      return writer.append(input).flush() ? undefined : writer.drained()
    },
  })
  return (server.address as { port: number }).port
}

function tell(message: FromServer): void {
  process.send?.(message)
}
