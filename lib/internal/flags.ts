// What has happened to a connection, as bits of one number.

/** A handler of it is running or awaited. */
export const PENDING = 1
/** Input has come, or was consumed, since onRequest was called last. */
export const FRESH = 2
/** The peer has sent FIN. */
export const PEER_ENDED = 4
/** We have asked for the end. */
export const CLOSING = 8
/** The socket is gone. */
export const ENDED = 16
/** Close callbacks are running. */
export const CALLING_BACK = 32
/** Close callbacks have run. */
export const FINISHED = 64
/** It is to be closed when it is idle. */
export const LEAVING = 128
/** Nothing has come since the driver was asked whether something is on its way. */
export const QUIET = 256
/** The user wants the socket not to be read. */
export const PAUSED = 512
/** Input has come all the same: it was on its way. */
export const WITHHELD = 1024
/** The user has closed it for writing. */
export const WRITE_CLOSED = 2048
/** It does not keep the process alive. */
export const UNREFFED = 4096
/** Those who watch the process have been told of it. */
export const PUBLISHED = 8192
