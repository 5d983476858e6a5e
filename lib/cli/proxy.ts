import type { Connection, ConnectionOptions, DialOptions } from '../index.ts'
import { type Command, command, numberOption, UsageError } from './arguments.ts'
import { loadNodepoll, orFail } from './failure.ts'
import { Output } from './output.ts'
import { placeOf, report, servingOptions } from './serving.ts'

const PORT_MAX = 65_535

export const proxy: Command = command({
  name: 'proxy',
  summary: 'pass connections on to another server',
  help:
    'Passes connections on to <target>: a port, host:port, or the path of a unix socket. Bytes ' +
    'are not copied. A peer that takes slowly slows the other one down; FIN is passed on as ' +
    'FIN, a reset as a reset. Ctrl-C ends it.',
  operands: ['<target>'],
  options: {
    ...servingOptions,
    'connect-timeout': numberOption('seconds', 'time in which the target has to accept', {
      min: 0.001,
      max: 3600,
      fallback: 5,
      isWhole: false,
    }),
  },
  async run(values, [target = '']) {
    const output = new Output(values.json)
    const place = placeOf(values)
    const to = { ...readTarget(target), timeoutMs: Math.round(values['connect-timeout'] * 1000) }
    const treatment: ConnectionOptions = {
      allowHalfOpen: true,
      idleTimeoutMs: Math.round(values['idle-timeout'] * 1000),
    }
    const { serve, dial } = await loadNodepoll()
    const server = await orFail(
      serve({
        ...place,
        ...treatment,
        ...(values['connections-max'] && { connectionsMax: values['connections-max'] }),
        async onConnect(client) {
          const other = await dial({ ...to, ...treatment, signal: client.signal })
          await Promise.all([pass(client, other), pass(other, client)])
        },
        onError(error) {
          const { message, code } = error as NodeJS.ErrnoException
          output.warn(message)
          output.json({ event: 'error', code, message })
        },
      }),
    )
    return report(server, output, values)
  },
})

/** Hands all input of `from` on to `to`, until one of them ends. */
async function pass(from: Connection, to: Connection): Promise<void> {
  const { isNodepollError } = await loadNodepoll()
  try {
    for (;;) {
      await from.reader.wait(1)
      if (!to.writer.append(from.input).flush()) await to.writer.drained()
    }
  } catch (error) {
    if (isNodepollError(error, 'ERR_NODEPOLL_EOF')) await to.closeWrite().catch(() => {})
    else for (const end of [from, to]) end.reset()
  }
}

/** A port, a host with a port, or a path. */
function readTarget(target: string): DialOptions {
  if (target.includes('/')) return { path: target }
  const [, bracketed, host, port] = /^(?:(?:\[(.+)\]|([^:]+)):)?(\d+)$/.exec(target) ?? []
  const number = Number(port)
  if (!(number >= 1 && number <= PORT_MAX)) {
    throw new UsageError(`<target>: expected a port, host:port or a path, not '${target}'`)
  }
  return { host: bracketed ?? host ?? '127.0.0.1', port: number }
}
