import type { Connection, LinkBuffer, OnRequest, Writer } from 'nodepoll'

import { malformed } from './errors.ts'
import type { Protocol } from './options.ts'

/** A message as it stands on the wire. */
export type Message = Record<string, unknown>

/** Called with each message. While its promise is pending no further one is read. */
export type OnMessage<C> = (
  message: Message,
  connection: Connection,
  context: C,
) => void | Promise<void>

/** How messages become bytes. */
export interface Wire {
  readonly protocol: Protocol
  /** An `onRequest` of nodepoll. What is no message throws, and so ends the connection. */
  onMessage<C>(handler: OnMessage<C>): OnRequest<C>
  /** Writes a message without flushing it. */
  write(writer: Writer, text: string): void
}

/** Reads a message, which is an object. */
export function parseMessage(text: string): Message {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch (cause) {
    throw malformed('a message is no JSON', { cause })
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw malformed('a message is no object')
  }
  return message as Message
}

/** Whether unread input begins as a request of HTTP does. */
export function speaksHttp(input: LinkBuffer): boolean {
  const start = input.peek(Math.min(input.length, 8)).toString('latin1')
  return /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE|PRI)(?: |$)/.test(start)
}
