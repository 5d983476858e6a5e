// Every bound of this package, in one place.

/** Bytes of a packet, unless the user wants another limit. */
export const PACKET_MAX: number = 16 << 20

/** Bytes of a node's identifier, and of the prefix of its namespace. */
export const NAME_MAX = 255

/** How long a peer may take to say who it is. */
export const HELLO_TIMEOUT_MS = 5000

/** How long one attempt to connect may take. */
export const DIAL_TIMEOUT_MS = 2000

/** Between two attempts to connect to a node: at first; it doubles each time. */
export const RETRY_DELAY_MS = 100

/** Between two attempts to connect to a node: at most. */
export const RETRY_DELAY_MAX_MS = 5000

/** How long the end of all connections may take when a node stops. */
export const END_DEADLINE_MS = 5000

/** How soon a silent peer whose machine has gone is noticed. */
export const KEEP_ALIVE = { idleMs: 10_000, intervalMs: 2000, count: 5 } as const
