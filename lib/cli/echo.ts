import { type Command, command } from './arguments.ts'
import { loadNodepoll, orFail } from './failure.ts'
import { Output } from './output.ts'
import { placeOf, report, servingOptions } from './serving.ts'

export const echo: Command = command({
  name: 'echo',
  summary: 'serve what sends back what it is sent',
  help: 'Sends back what it is sent, without a copy, until Ctrl-C ends it.',
  operands: [],
  options: servingOptions,
  async run(values) {
    const output = new Output(values.json)
    const place = placeOf(values)
    const { serve } = await loadNodepoll()
    const server = await orFail(
      serve({
        ...place,
        idleTimeoutMs: Math.round(values['idle-timeout'] * 1000),
        ...(values['connections-max'] && { connectionsMax: values['connections-max'] }),
        async onRequest({ input, writer }) {
          if (!writer.append(input).flush()) await writer.drained()
        },
        onError: (error) => output.warn((error as Error).message),
      }),
    )
    return report(server, output, values)
  },
})
