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

/** Time in which I/O threads have to take what is handed over when the process ends. */
export const HAND_OVER_MS = 100

/** Bytes of a chunk: one WebAssembly memory of 16 pages. */
export const CHUNK_BYTES: number = 1 << 20

/** Chunks and nodes are so many bytes long, or a multiple. */
export const GRANULE_BYTES = 4096

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

/** Bytes in front of a frame's length, and how far the length may be off. */
export const FRAME_HEADER_MAX = 1024

/** Bytes of a frame, unless the user wants another limit. */
export const FRAME_MAX: number = 16 << 20

/** Bytes of an incomplete frame above which its rest is waited for. */
export const FRAME_WAIT_MIN = 4096

/** Bytes of frames handled in a row before their memory is given back. */
export const FRAMES_RELEASE_BYTES: number = 1 << 20

/** Unread input at which a connection receives no more, unless the user wants another limit. */
export const READ_BUFFER_MAX: number = 1 << 20

/**
 * Bytes that a read waits for at which it provides a node for them. What is shorter may lie in two
 * nodes, and is then put together by a copy, which costs less.
 */
export const FILL_BYTES_MIN: number = 32 << 10

/** Bytes of several nodes that a view shows as a copy. More are moved into a node of their own. */
export const GATHER_BYTES_MAX = 4096

/** Bytes of a short unread rest, which is copied out of the arena rather than hold a node. */
export const REST_BYTES_MAX = 4096

/** Connections whose unread rests are left where they are, as more is likely to come soon. */
export const RESTS_MAX = 32

/** What connections with input or unflushed output need, kept for those that come to have some. */
export const SPARES_MAX = 1024

/** Output at which `flush()` says false, unless the user wants another limit. */
export const WRITE_BUFFER_MAX: number = 1 << 20

/** How many times more output than that may be pending before a flush is refused. */
export const WRITE_LIMIT_FACTOR = 64

/** The largest limit of input or output that a user may want. */
export const BUFFER_MAX_MAX: number = 1 << 30

/** Bytes of a view of input from which on `writeBinary` refers to it and does not copy. */
export const REFERENCE_BYTES_MIN: number = 16 << 10

/** Output that may be pending before the driver is asked to tell of its progress. */
export const ACKNOWLEDGE_BYTES: number = 64 << 10

/** Bytes of all connections together. @default 1 GiB */
export const MEMORY_MAX: number = 1 << 30

/** The part of `memoryMax` that one read may wait for, and that may come on top of it for one. */
export const WAIT_PART = 4

/** The largest `memoryMax`. */
export const MEMORY_MAX_MAX: number = 2 ** 36

/** Poller threads of one environment. */
export const POLLERS_MAX = 64

/** Poller threads that are started unless the user wants more. */
export const POLLERS_DEFAULT_MAX = 4

/** What Linux takes for the times of keep-alive, and for its count. */
export const KEEP_ALIVE_MS_MAX: number = 32_767_000
export const KEEP_ALIVE_COUNT_MAX = 127

/** Time that a dial gives one address before it tries the next one as well (RFC 8305). */
export const DIAL_STEP_MS = 250

/** Time after which a shutdown that waits for handlers says so. */
export const SHUTDOWN_WARNING_MS = 10_000

/** Connections that wait in the kernel to be accepted. */
export const BACKLOG = 1024
export const BACKLOG_MAX = 65_535

// Of nodepoll/rpc.

/** Bytes of a method's name, and of an error's code. */
export const RPC_NAME_MAX = 255

/** Characters of an error's message that are sent. */
export const RPC_MESSAGE_MAX = 4096

/** Names of methods that one end keeps encoded or decoded; more are made anew each time. */
export const RPC_NAMES_MAX = 1024

/** Calls of one connection that a server has under way, unless the user wants another limit. */
export const RPC_CONCURRENCY = 1024

/** The most that it may be: identifiers have 16 bits for the place of a call. */
export const RPC_CONCURRENCY_MAX = 65_536

/** Calls of a client that wait or are under way, unless the user wants another limit. */
export const RPC_CALLS = 65_536
export const RPC_CALLS_MAX: number = 1 << 24

/** Connections of a client, unless the user wants another number. */
export const RPC_CONNECTIONS = 4
export const RPC_CONNECTIONS_MAX = 1024

/** Time in which a client's connection has to be ready, unless the user wants another limit. */
export const RPC_CONNECT_MS = 5000

/** Time in which a server has to have heard what its peer speaks. */
export const RPC_PREFACE_MS = 10_000

/** Time between looks at whether a connection is alive, unless the user wants another. */
export const RPC_PING_MS = 10_000

/** Time before a target is dialled again: doubled with each failure, up to the second. */
export const RPC_BACKOFF_MS = 100
export const RPC_BACKOFF_MAX_MS = 10_000

/** How often a call that servers refuse before they begin it is sent elsewhere. */
export const RPC_REFUSALS_MAX = 8

/** Time that a server which shuts down gives its clients to end their connections themselves. */
export const RPC_LINGER_MS = 1000

/** Bytes of frames written in a row before they are flushed, so that it shows who does not read. */
export const RPC_FLUSH_BYTES: number = 64 << 10
