import type { CloseReason } from 'nodepoll'

import type { Pair } from './server.ts'

/** One way in which a connection ends. */
export interface Ender {
  readonly end: (pair: Pair) => unknown
  readonly by: CloseReason['by']
  /** Codes of what reads fail with afterwards: which one it is may depend on the moment. */
  readonly codes: readonly string[]
  /** Whether output that nobody has taken so far is lost, even if the peer reads now. */
  readonly drops: boolean
}

const CLOSED = ['ERR_NODEPOLL_CONNECTION_CLOSED']

/** What `destroy(error)` is given. */
export const REASON: Error = Object.assign(new Error('enough of it'), { code: 'MINE' })

/** Every way in which a connection can end. */
export const enders: Readonly<Record<string, Ender>> = {
  'FIN from the peer': {
    end: ({ peer }) => peer.end(),
    by: 'peer',
    codes: ['ERR_NODEPOLL_EOF'],
    drops: false,
  },
  'RST from the peer': {
    end: ({ peer }) => peer.reset(),
    by: 'error',
    codes: ['ECONNRESET', 'EPIPE'],
    drops: true,
  },
  'close()': {
    end: ({ connection }) => void connection.close(),
    by: 'local',
    codes: CLOSED,
    drops: false,
  },
  'destroy()': {
    end: ({ connection }) => connection.destroy(),
    by: 'local',
    codes: CLOSED,
    drops: true,
  },
  'destroy(error)': {
    end: ({ connection }) => connection.destroy(REASON),
    by: 'error',
    codes: ['MINE'],
    drops: true,
  },
  'reset()': {
    end: ({ connection }) => connection.reset(),
    by: 'local',
    codes: CLOSED,
    drops: true,
  },
  'an idle timeout': {
    end: ({ connection }) => void connection.setIdleTimeout(5),
    by: 'timeout',
    codes: CLOSED,
    drops: true,
  },
  // Waits until input is read and output has left.
  'shutdown()': {
    end: ({ server }) => void server.shutdown().catch(() => {}),
    by: 'shutdown',
    codes: CLOSED,
    drops: false,
  },
  'a forced shutdown()': {
    end: ({ server }) => void server.shutdown({ deadlineMs: 0, force: true }).catch(() => {}),
    by: 'shutdown',
    codes: CLOSED,
    drops: true,
  },
}
