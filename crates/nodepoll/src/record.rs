//! The layout of events and commands: records of sixteen 32-bit words, one cache line each.
//!
//! `lib/native/record.ts` says the same in the same order; [`LAYOUT`] lets a test compare the two.
//! The words of a record that its kind does not name are undefined.

use linkbuf::SegmentId;

use crate::address::{ADDRESS_WORDS, Address};

/// Defines constants and lists them by name in [`LAYOUT`].
macro_rules! layout {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: i32 = $value;)*

        /// Every constant of this module with its name, for comparison with the other side.
        pub const LAYOUT: &[(&str, i32)] = &[$((stringify!($name), $name)),*];
    };
}

layout! {
    /// Words of a record.
    WORDS = 16;

    /// Event: a listener has a new connection.
    EVENT_ACCEPTED = 1;
    /// Event: a dial has succeeded.
    EVENT_CONNECTED = 2;
    /// Event: a dial has failed.
    EVENT_DIAL_FAILED = 3;
    /// Event: bytes have arrived, and are leased to the host.
    EVENT_DATA = 4;
    /// Event: the peer has sent FIN.
    EVENT_END = 5;
    /// Event: the kernel has taken output since an acknowledgement was asked for. It comes again
    /// until all is taken that was queued then.
    EVENT_DRAINED = 6;
    /// Event: the connection is no more. The last one of its generation.
    EVENT_CLOSED = 7;
    /// Event: a listener is closed, after so many accepted connections.
    EVENT_LISTENER_CLOSED = 8;
    /// Event: a listener cannot accept for the time being. Told once an episode.
    EVENT_LISTENER_ERROR = 9;
    /// Event: the arena runs low; the host may grant a chunk.
    EVENT_NEED_MEMORY = 10;
    /// Event: the driver has panicked and all its connections are gone. The last one of its lane.
    EVENT_FAILED = 11;
    /// Event: a read of the socket has found nothing, as a probe has asked for.
    EVENT_QUIET = 12;
    /// Event: nothing has come or gone for as long as the host wants to wait.
    EVENT_IDLE = 13;

    /// Command: send a leased segment; the lease goes with it.
    COMMAND_WRITE = 1;
    /// Command: close gracefully.
    COMMAND_CLOSE = 2;
    /// Command: close at once.
    COMMAND_DESTROY = 3;
    /// Command: close at once, with a reset.
    COMMAND_RESET = 4;
    /// Command: tell when the kernel has taken all output queued so far.
    COMMAND_ACKNOWLEDGE = 5;
    /// Command: begin to accept.
    COMMAND_ACCEPT = 6;
    /// Command: accept what waits, then close the listener.
    COMMAND_CLOSE_LISTENER = 7;
    /// Command: give a dial up. It fails with `ECANCELED` unless it has ended before.
    COMMAND_CANCEL_DIAL = 8;
    /// Command: panic, so that a test can see what a panic does.
    COMMAND_FAULT = 9;
    /// Command: read the socket, and tell when nothing is found.
    COMMAND_PROBE = 10;

    /// Command: receive no further than to a position of the stream, which is beyond earlier ones.
    COMMAND_WINDOW = 11;
    /// Command: do not read the socket.
    COMMAND_PAUSE = 12;
    /// Command: read the socket again.
    COMMAND_RESUME = 13;
    /// Command: receive into this room, which begins at a position of the stream. The one lease
    /// on its node goes with it.
    COMMAND_FILL = 14;
    /// Command: send FIN after the output, and receive on.
    COMMAND_CLOSE_WRITE = 15;
    /// Command: tell when nothing has come or gone for some time; 0 is never.
    COMMAND_IDLE = 16;
    /// Command: whether small segments are sent at once.
    COMMAND_NO_DELAY = 17;
    /// Command: ask a silent peer whether it is still there, or do not.
    COMMAND_KEEP_ALIVE = 18;

    /// Word: the kind of the record.
    KIND = 0;
    /// Word: the connection's row.
    SLOT = 1;
    /// Word: which of the row's connections.
    GENERATION = 2;
    /// Word of a listener's event or command: the number its host gave it.
    LISTENER = 3;
    /// Word of a dial's event or command: the number its host gave it.
    DIAL = 3;
    /// First word of the segment in data and writes: the node.
    NODE = 3;
    /// Where the segment begins, from the start of the node's chunk.
    OFFSET = 4;
    /// Bytes of the segment.
    LENGTH = 5;
    /// Word of a connection's event: lower half of the count of bytes the kernel has taken.
    SENT = 6;
    /// Word of data: bytes in front of the segment that are its receiver's too, to be written.
    FRONT = 7;
    /// Word of a command: lower half of a position in the stream that is received.
    POSITION = 6;
    /// Word of an idle connection: milliseconds without a byte.
    IDLE_MILLIS = 3;
    /// Word of a command: milliseconds.
    MILLIS = 6;
    /// Word of a command: whether it is to be so.
    ON = 6;
    /// Word of keep-alive: seconds of silence before the first probe; 0 turns it off.
    KEEP_ALIVE_IDLE = 3;
    /// Word of keep-alive: seconds between probes; 0 leaves it to the system.
    KEEP_ALIVE_INTERVAL = 4;
    /// Word of keep-alive: probes without an answer that end the connection; 0 as above.
    KEEP_ALIVE_COUNT = 5;
    /// Word of a listener's command: bytes that each connection may receive at first.
    WINDOW = 4;
    /// First word of the peer's address.
    REMOTE = 4;
    /// First word of our own address.
    LOCAL = 10;
    /// Word of an ended connection: why.
    REASON = 3;
    /// Word of a failure: the error number of the operating system, or 0.
    ERRNO = 4;
    /// Word of an ended connection: the call that failed.
    SYSCALL = 5;
    /// Word of a closed listener: how many connections it has accepted.
    ACCEPTED = 4;

    /// Reason: the host asked for it.
    REASON_LOCAL = 0;
    /// Reason: the peer ended the connection.
    REASON_PEER = 1;
    /// Reason: an error of the operating system.
    REASON_ERROR = 2;
    /// Reason: a graceful close could not send its output in time.
    REASON_TIMEOUT = 3;

    /// No system call.
    SYSCALL_NONE = 0;
    /// Receiving failed.
    SYSCALL_READ = 1;
    /// Sending failed.
    SYSCALL_WRITE = 2;

    /// Control word: pairs in the list of lease changes.
    CONTROL_LEASE_CHANGES = 0;
    /// Control word: lanes that the last exchange left with events.
    CONTROL_LANES_READY = 1;
    /// First control word of the first lane.
    CONTROL_LANES = 4;
    /// Control words of one lane.
    LANE_WORDS = 4;
    /// Word of a lane: commands written so far. The host's.
    LANE_COMMAND_TAIL = 0;
    /// Word of a lane: commands taken so far. The driver's.
    LANE_COMMAND_HEAD = 1;
    /// Word of a lane: events read so far. The host's.
    LANE_EVENT_HEAD = 2;
    /// Word of a lane: events posted so far. The driver's.
    LANE_EVENT_TAIL = 3;
}

/// [`WORDS`] as a length.
pub const RECORD_WORDS: usize = WORDS as usize;

/// The words of one record.
pub type Record = [i32; RECORD_WORDS];

/// Which connection a record is about: row and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The row of the driver's table.
    pub slot: u32,
    /// How often the row has changed hands.
    pub generation: u32,
}

/// A record under construction or inspection, by the names of its words.
pub(crate) struct Fields(Record);

impl Fields {
    pub(crate) fn of(record: Record) -> Self {
        Self(record)
    }

    pub(crate) fn new(kind: i32) -> Self {
        Self([0; RECORD_WORDS]).with(KIND, kind)
    }

    pub(crate) fn with(mut self, word: i32, value: i32) -> Self {
        self.0[index(word)] = value;
        self
    }

    pub(crate) fn with_unsigned(self, word: i32, value: u32) -> Self {
        self.with(word, value.cast_signed())
    }

    pub(crate) fn with_id(self, id: ConnectionId) -> Self {
        self.with_unsigned(SLOT, id.slot)
            .with_unsigned(GENERATION, id.generation)
    }

    pub(crate) fn with_sent(self, sent: u64) -> Self {
        // The lower half is what the host needs: it adds differences.
        let low = sent & u64::from(u32::MAX);
        self.with_unsigned(SENT, u32::try_from(low).unwrap_or(u32::MAX))
    }

    pub(crate) fn with_position(self, position: u32) -> Self {
        self.with_unsigned(POSITION, position)
    }

    pub(crate) fn with_segment(self, segment: SegmentId) -> Self {
        self.with_unsigned(NODE, segment.node)
            .with_unsigned(OFFSET, segment.offset)
            .with_unsigned(LENGTH, segment.len)
    }

    pub(crate) fn with_address(mut self, word: i32, address: Address) -> Self {
        self.0[index(word)..][..ADDRESS_WORDS].copy_from_slice(&address.to_words());
        self
    }

    pub(crate) fn into_record(self) -> Record {
        self.0
    }

    pub(crate) fn get(&self, word: i32) -> i32 {
        self.0[index(word)]
    }

    pub(crate) fn unsigned(&self, word: i32) -> u32 {
        self.get(word).cast_unsigned()
    }

    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId {
            slot: self.unsigned(SLOT),
            generation: self.unsigned(GENERATION),
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        u64::from(self.unsigned(SENT))
    }

    pub(crate) fn segment(&self) -> SegmentId {
        SegmentId {
            node: self.unsigned(NODE),
            offset: self.unsigned(OFFSET),
            len: self.unsigned(LENGTH),
        }
    }

    pub(crate) fn address(&self, word: i32) -> Address {
        Address::from_words(&self.0[index(word)..][..ADDRESS_WORDS])
    }
}

pub(crate) const fn index(word: i32) -> usize {
    word.cast_unsigned() as usize
}
