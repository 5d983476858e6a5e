import { type Connection, isNodepollError, lengthPrefixed, type OnRequest } from 'nodepoll'

import { httpPeer } from './errors.ts'
import { MESSAGE_MAX } from './limits.ts'
import { type OnMessage, parseMessage, speaksHttp, type Wire } from './message.ts'
import type { SharedOptions } from './options.ts'
import { tcpWire } from './tcp-wire.ts'

/** The wire for a protocol. */
export function makeWire(options: SharedOptions): Wire {
  const { protocol = 'nodepoll', messageMax = MESSAGE_MAX } = options
  switch (protocol) {
    case 'nodepoll':
      return framedWire(messageMax)
    case 'tcp':
      return tcpWire(messageMax)
    default:
      throw new TypeError(`options.protocol must be 'nodepoll' or 'tcp', not '${protocol}'`)
  }
}

/** Sends a message, or none of it. `false`: the peer should take what is pending before more. */
export function send(wire: Wire, { writer }: Connection, message: unknown): boolean {
  const before = writer.mallocLength
  wire.write(writer, JSON.stringify(message))
  try {
    return writer.flush()
  } catch (error) {
    if (isNodepollError(error, 'ERR_NODEPOLL_WRITE_LIMIT')) writer.mallocAck(before)
    throw error
  }
}

function framedWire(messageMax: number): Wire {
  const frames = lengthPrefixed({ limit: messageMax })
  return {
    protocol: 'nodepoll',
    onMessage<C>(handler: OnMessage<C>): OnRequest<C> {
      const onRequest = frames.onFrame<C>((frame, connection, context) =>
        handler(parseMessage(frame.toString()), connection, context),
      )
      return (connection, context) => {
        try {
          return onRequest(connection, context)
        } catch (cause) {
          // Letters are a very large length, and what the peer meant by them helps more.
          const isFrame = !isNodepollError(cause, 'ERR_NODEPOLL_FRAME_LIMIT')
          throw isFrame || !speaksHttp(connection.input) ? cause : httpPeer({ cause })
        }
      }
    },
    write: (writer, text) => frames.write(writer, text),
  }
}
