// Every bound of nodepoll/stream, in one place.

/** Bytes of a chunk that a socket gives its reader, as with node:net. */
export const CHUNK_BYTES_MAX: number = 64 << 10

/** Bytes of a chunk from which on Node does not take it from its pool, and we take it from ours. */
export const POOLED_BYTES_MIN: number = 4 << 10

/** Bytes of output that are handed to nodepoll in one piece. */
export const PIECE_BYTES_MAX: number = 128 << 10

/**
 * Bytes of which it is not known that the kernel has taken them, above which a write leaves at once
 * and is done when it has. A peer that takes nothing at all keeps so many from those who end the
 * process when a write is done.
 */
export const UNTOLD_BYTES_MAX: number = 64 << 10

/** Unread input of a connection, in addition to what its stream holds. */
export const READ_BUFFER_MAX: number = 256 << 10

/** Output that nodepoll holds for a connection, in addition to what its stream holds. */
export const WRITE_BUFFER_MAX: number = 256 << 10

/** Time that the output of a destroyed socket has to leave. Kernels give theirs about as long. */
export const LEAVE_MS = 30_000

/** The system's time of silence before it probes a peer, for keep-alive without a time. */
export const KEEP_ALIVE_MS: number = 7200_000

/** The longest one that systems take. */
export const KEEP_ALIVE_MS_MAX = 32_767_000

/** Time between two looks for connections that have become idle, during a shutdown. */
export const IDLE_LOOK_MS = 20
