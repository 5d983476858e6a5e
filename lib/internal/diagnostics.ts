import { channel } from 'node:diagnostics_channel'

import type { Connection } from '../connection.ts'

const opened = channel('nodepoll:connection:open')
const closed = channel('nodepoll:connection:close')
const errors = channel('nodepoll:error')

/** Tells those who watch the process that a connection is open. */
export function publishOpened(connection: Connection): void {
  if (opened.hasSubscribers) opened.publish({ connection })
}

/** Tells them that it has ended, and why. */
export function publishClosed(connection: Connection): void {
  if (closed.hasSubscribers) closed.publish({ connection, reason: connection._reason })
}

/** Tells them of an error that goes to `onError`. */
export function publishError(error: unknown, connection: Connection | undefined): void {
  if (!errors.hasSubscribers) return
  errors.publish(connection === undefined ? { error } : { error, connection })
}
