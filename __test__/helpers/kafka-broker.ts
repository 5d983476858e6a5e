import type { Socket } from 'node:net'

import type { ExecutionContext } from 'ava'

import { startNetServer } from './server.ts'

const METADATA = 3
const API_VERSIONS = 18

/** As much of a broker of Kafka as a client needs to ask which topics there are. */
export async function startKafkaBroker(
  t: ExecutionContext<unknown>,
  topics: readonly string[],
): Promise<number> {
  const { port } = await startNetServer(t, (socket) => speak(socket, topics, () => port))
  return port
}

function speak(socket: Socket, topics: readonly string[], port: () => number): void {
  let pending = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE()) {
      const request = pending.subarray(4, 4 + pending.readInt32BE())
      pending = pending.subarray(4 + request.length)
      const body = request.readInt16BE() === METADATA ? metadata(topics, port()) : versions()
      const correlation = request.subarray(4, 8)
      socket.write(Buffer.concat([int32(4 + body.length), correlation, body]))
    }
  })
}

/** Version 0 of all that is known here. */
function versions(): Buffer {
  const known = [METADATA, API_VERSIONS].map((key) =>
    Buffer.concat([int16(key), int16(0), int16(0)]),
  )
  return Buffer.concat([int16(0), int32(known.length), ...known])
}

function metadata(topics: readonly string[], port: number): Buffer {
  const broker = [int32(1), int32(0), text('127.0.0.1'), int32(port)]
  const partition = [int32(1), int16(0), int32(0), int32(0), int32(1), int32(0), int32(1), int32(0)]
  const each = topics.map((topic) => Buffer.concat([int16(0), text(topic), ...partition]))
  return Buffer.concat([...broker, int32(topics.length), ...each])
}

function text(value: string): Buffer {
  return Buffer.concat([int16(value.length), Buffer.from(value)])
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
