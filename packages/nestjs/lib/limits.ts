// Every bound of this package, in one place.

/** Bytes of a message, or UTF-16 units in Nest's own protocol, unless the user wants others. */
export const MESSAGE_MAX: number = 16 << 20

/** Calls that a peer may have under way on one connection. Further ones are refused. */
export const CALLS_MAX = 65_536

/** How long `close()` of a server waits for calls that are under way. */
export const CLOSE_DEADLINE_MS = 10_000

/** How long the connections may take to end once nothing is waited for any more. */
export const END_DEADLINE_MS = 2000

/** How long a client waits for one connection. */
export const DIAL_TIMEOUT_MS = 5000

/** How often a client dials again before it gives a connection up. */
export const RETRY_ATTEMPTS = 5

/** Before the first of these times; each further one waits twice as long. */
export const RETRY_DELAY_MS = 100

/** The longest time between two of them. */
export const RETRY_DELAY_MAX_MS = 5000

/** Digits of the length in Nest's own protocol. */
export const LENGTH_DIGITS_MAX = 10

/** Bytes of an incomplete message above which its rest is waited for. */
export const WAIT_MIN = 4096
