// Every bound of the JavaScript side, in one place.

/** Records in each ring of a lane. */
export const RING_RECORDS = 2048

/** Commands that may wait for room in a ring before a flush is refused. */
export const COMMANDS_WAITING_MAX: number = 64 << 10

/** Pairs of node and count in one exchange's list of released and retained leases. */
export const LEASE_CHANGES = 1024

/** Exchanges in a row before timers and other I/O of the process have their turn. */
export const TURNS_MAX = 16

/** Events in a row before timers and other I/O of the process have their turn. */
export const EVENTS_MAX = 1024

/** Bytes of a chunk: one WebAssembly memory of 16 pages. */
export const CHUNK_BYTES: number = 1 << 20

/** Chunks granted before the first connection: one in use, one ahead. */
export const CHUNKS_AT_START = 2

/** Bytes of the node that all connections of an environment write into. */
export const WRITE_NODE_BYTES: number = 64 << 10

/** Bytes of the largest node that is carved from a chunk together with others. */
export const NODE_BYTES_MAX: number = 256 << 10

/** Bytes of the largest contiguous piece. */
export const PIECE_BYTES_MAX: number = 256 << 20

/** Bytes that a connection may have read and not released before its next read fails. */
export const UNRELEASED_MAX: number = 64 << 20

/** Output at which `flush()` says false. */
export const WRITE_BUFFER_MAX: number = 1 << 20

/** Output that may be pending before the driver is asked to tell of its progress. */
export const ACKNOWLEDGE_BYTES: number = 64 << 10

/** Bytes of all connections together. @default 1 GiB */
export const MEMORY_MAX: number = 1 << 30

/** The largest `memoryMax`. */
export const MEMORY_MAX_MAX: number = 2 ** 36

/** Poller threads of one environment. */
export const POLLERS_MAX = 64

/** Poller threads that are started unless the user wants more. */
export const POLLERS_DEFAULT_MAX = 4

/** Connections that wait in the kernel to be accepted. */
export const BACKLOG = 1024
export const BACKLOG_MAX = 65_535
