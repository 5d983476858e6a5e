// The layout of events and commands: records of sixteen 32-bit words, one cache line each.
//
// `crates/nodepoll/src/record.rs` says the same in the same order; a test compares the two.

/** Words of a record. */
export const WORDS = 16

/** Event: a listener has a new connection. */
export const EVENT_ACCEPTED = 1
/** Event: a dial has succeeded. */
export const EVENT_CONNECTED = 2
/** Event: a dial has failed. */
export const EVENT_DIAL_FAILED = 3
/** Event: bytes have arrived, and are leased to the host. */
export const EVENT_DATA = 4
/** Event: the peer has sent FIN. */
export const EVENT_END = 5
/**
 * Event: the kernel has taken output since an acknowledgement was asked for. It comes again until
 * all is taken that was queued then.
 */
export const EVENT_DRAINED = 6
/** Event: the connection is no more. The last one of its generation. */
export const EVENT_CLOSED = 7
/** Event: a listener is closed, after so many accepted connections. */
export const EVENT_LISTENER_CLOSED = 8
/** Event: a listener cannot accept for the time being. Told once an episode. */
export const EVENT_LISTENER_ERROR = 9
/** Event: the arena runs low; the host may grant a chunk. */
export const EVENT_NEED_MEMORY = 10
/** Event: the driver has panicked and all its connections are gone. The last one of its lane. */
export const EVENT_FAILED = 11
/** Event: a read of the socket has found nothing, as a probe has asked for. */
export const EVENT_QUIET = 12
/** Event: nothing has come or gone for as long as the host wants to wait. */
export const EVENT_IDLE = 13

/** Command: send a leased segment; the lease goes with it. */
export const COMMAND_WRITE = 1
/** Command: close gracefully. */
export const COMMAND_CLOSE = 2
/** Command: close at once. */
export const COMMAND_DESTROY = 3
/** Command: close at once, with a reset. */
export const COMMAND_RESET = 4
/** Command: tell when the kernel has taken all output queued so far. */
export const COMMAND_ACKNOWLEDGE = 5
/** Command: begin to accept. */
export const COMMAND_ACCEPT = 6
/** Command: accept what waits, then close the listener. */
export const COMMAND_CLOSE_LISTENER = 7
/** Command: give a dial up. It fails with `ECANCELED` unless it has ended before. */
export const COMMAND_CANCEL_DIAL = 8
/** Command: panic, so that a test can see what a panic does. */
export const COMMAND_FAULT = 9
/** Command: read the socket, and tell when nothing is found. */
export const COMMAND_PROBE = 10
/** Command: receive no further than to a position of the stream, which is beyond earlier ones. */
export const COMMAND_WINDOW = 11
/** Command: do not read the socket. */
export const COMMAND_PAUSE = 12
/** Command: read the socket again. */
export const COMMAND_RESUME = 13
/**
 * Command: receive into this room, which begins at a position of the stream. The one lease on its
 * node goes with it.
 */
export const COMMAND_FILL = 14
/** Command: send FIN after the output, and receive on. */
export const COMMAND_CLOSE_WRITE = 15
/** Command: tell when nothing has come or gone for some time; 0 is never. */
export const COMMAND_IDLE = 16
/** Command: whether small segments are sent at once. */
export const COMMAND_NO_DELAY = 17
/** Command: ask a silent peer whether it is still there, or do not. */
export const COMMAND_KEEP_ALIVE = 18

/** Word: the kind of the record. */
export const KIND = 0
/** Word: the connection's row. */
export const SLOT = 1
/** Word: which of the row's connections. */
export const GENERATION = 2
/** Word of a listener's event or command: the number its host gave it. */
export const LISTENER = 3
/** Word of a dial's event or command: the number its host gave it. */
export const DIAL = 3
/** First word of the segment in data and writes: the node. */
export const NODE = 3
/** Where the segment begins, from the start of the node's chunk. */
export const OFFSET = 4
/** Bytes of the segment. */
export const LENGTH = 5
/** Word of a connection's event: lower half of the count of bytes the kernel has taken. */
export const SENT = 6
/** Word of data: bytes in front of the segment that are its receiver's too, to be written. */
export const FRONT = 7
/** Word of a command: lower half of a position in the stream that is received. */
export const POSITION = 6
/** Word of an idle connection: milliseconds without a byte. */
export const IDLE_MILLIS = 3
/** Word of a command: milliseconds. */
export const MILLIS = 6
/** Word of a command: whether it is to be so. */
export const ON = 6
/** Word of keep-alive: seconds of silence before the first probe; 0 turns it off. */
export const KEEP_ALIVE_IDLE = 3
/** Word of keep-alive: seconds between probes; 0 leaves it to the system. */
export const KEEP_ALIVE_INTERVAL = 4
/** Word of keep-alive: probes without an answer that end the connection; 0 as above. */
export const KEEP_ALIVE_COUNT = 5
/** Word of a listener's command: bytes that each connection may receive at first. */
export const WINDOW = 4
/** First word of the peer's address. */
export const REMOTE = 4
/** First word of our own address. */
export const LOCAL = 10
/** Word of an ended connection: why. */
export const REASON = 3
/** Word of a failure: the error number of the operating system, or 0. */
export const ERRNO = 4
/** Word of an ended connection: the call that failed. */
export const SYSCALL = 5
/** Word of a closed listener: how many connections it has accepted. */
export const ACCEPTED = 4

/** Reason: the host asked for it. */
export const REASON_LOCAL = 0
/** Reason: the peer ended the connection. */
export const REASON_PEER = 1
/** Reason: an error of the operating system. */
export const REASON_ERROR = 2
/** Reason: a graceful close could not send its output in time. */
export const REASON_TIMEOUT = 3

/** No system call. */
export const SYSCALL_NONE = 0
/** Receiving failed. */
export const SYSCALL_READ = 1
/** Sending failed. */
export const SYSCALL_WRITE = 2

/** Control word: pairs in the list of lease changes. */
export const CONTROL_LEASE_CHANGES = 0
/** Control word: lanes that the last exchange left with events. */
export const CONTROL_LANES_READY = 1
/** First control word of the first lane. */
export const CONTROL_LANES = 4
/** Control words of one lane. */
export const LANE_WORDS = 4
/** Word of a lane: commands written so far. The host's. */
export const LANE_COMMAND_TAIL = 0
/** Word of a lane: commands taken so far. The driver's. */
export const LANE_COMMAND_HEAD = 1
/** Word of a lane: events read so far. The host's. */
export const LANE_EVENT_HEAD = 2
/** Word of a lane: events posted so far. The driver's. */
export const LANE_EVENT_TAIL = 3
