//! The layout of events and commands: records of sixteen 32-bit words, one cache line each.
//!
//! `lib/native/record.ts` says the same in the same order; [`LAYOUT`] lets a test compare the two.
//! The words of a record that its kind does not name are undefined.

use std::num::Wrapping;

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
    /// Event: the kernel has taken the output up to an acknowledgement that was asked for.
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

    /// Command: send a leased segment; the lease goes with it.
    COMMAND_WRITE = 1;
    /// Command: close gracefully.
    COMMAND_CLOSE = 2;
    /// Command: close at once.
    COMMAND_DESTROY = 3;
    /// Command: tell when the kernel has taken all output queued so far.
    COMMAND_ACKNOWLEDGE = 4;
    /// Command: begin to accept.
    COMMAND_ACCEPT = 5;
    /// Command: accept what waits, then close the listener.
    COMMAND_CLOSE_LISTENER = 6;
    /// Command: give a dial up. It fails with `ECANCELED` unless it has ended before.
    COMMAND_CANCEL_DIAL = 7;
    /// Command: panic, so that a test can see what a panic does.
    COMMAND_FAULT = 8;

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

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The host asked for it.
    Local,
    /// Both sides have sent FIN, or the peer has and nothing was left to do.
    Peer,
    /// A system call failed.
    Error {
        /// The error number of the operating system.
        errno: i32,
        /// [`SYSCALL_READ`] or [`SYSCALL_WRITE`].
        syscall: i32,
    },
    /// The output of a graceful close could not be sent in time.
    Timeout,
}

/// What a driver tells its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are documented at the words of the same names"
)]
pub enum Event {
    /// [`EVENT_ACCEPTED`]
    Accepted {
        id: ConnectionId,
        listener: u32,
        remote: Address,
        local: Address,
    },
    /// [`EVENT_CONNECTED`]
    Connected {
        id: ConnectionId,
        dial: u32,
        remote: Address,
        local: Address,
    },
    /// [`EVENT_DIAL_FAILED`]
    DialFailed { dial: u32, errno: i32 },
    /// [`EVENT_DATA`]
    Data {
        id: ConnectionId,
        segment: SegmentId,
        sent: u64,
    },
    /// [`EVENT_END`]
    End { id: ConnectionId, sent: u64 },
    /// [`EVENT_DRAINED`]
    Drained { id: ConnectionId, sent: u64 },
    /// [`EVENT_CLOSED`]
    Closed {
        id: ConnectionId,
        reason: EndReason,
        sent: u64,
    },
    /// [`EVENT_LISTENER_CLOSED`]
    ListenerClosed { listener: u32, accepted: u32 },
    /// [`EVENT_LISTENER_ERROR`]
    ListenerError { listener: u32, errno: i32 },
    /// [`EVENT_NEED_MEMORY`]
    NeedMemory,
    /// [`EVENT_FAILED`]
    Failed,
}

/// What a host tells a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are documented at the words of the same names"
)]
pub enum Command {
    /// [`COMMAND_WRITE`]
    Write {
        id: ConnectionId,
        segment: SegmentId,
    },
    /// [`COMMAND_CLOSE`]
    Close { id: ConnectionId },
    /// [`COMMAND_DESTROY`]
    Destroy { id: ConnectionId },
    /// [`COMMAND_ACKNOWLEDGE`]
    Acknowledge { id: ConnectionId },
    /// [`COMMAND_ACCEPT`]
    Accept { listener: u32 },
    /// [`COMMAND_CLOSE_LISTENER`]
    CloseListener { listener: u32 },
    /// [`COMMAND_CANCEL_DIAL`]
    CancelDial { dial: u32 },
    /// [`COMMAND_FAULT`]
    Fault,
}

/// A record under construction or inspection, by the names of its words.
struct Fields(Record);

impl Fields {
    fn new(kind: i32) -> Self {
        Self([0; RECORD_WORDS]).with(KIND, kind)
    }

    fn with(mut self, word: i32, value: i32) -> Self {
        self.0[index(word)] = value;
        self
    }

    fn with_unsigned(self, word: i32, value: u32) -> Self {
        self.with(word, value.cast_signed())
    }

    fn with_id(self, id: ConnectionId) -> Self {
        self.with_unsigned(SLOT, id.slot)
            .with_unsigned(GENERATION, id.generation)
    }

    fn with_sent(self, sent: u64) -> Self {
        // The lower half is what the host needs: it adds differences.
        let low = Wrapping(sent).0 & u64::from(u32::MAX);
        self.with_unsigned(SENT, u32::try_from(low).unwrap_or(u32::MAX))
    }

    fn with_segment(self, segment: SegmentId) -> Self {
        self.with_unsigned(NODE, segment.node)
            .with_unsigned(OFFSET, segment.offset)
            .with_unsigned(LENGTH, segment.len)
    }

    fn with_address(mut self, word: i32, address: Address) -> Self {
        self.0[index(word)..][..ADDRESS_WORDS].copy_from_slice(&address.to_words());
        self
    }

    fn get(&self, word: i32) -> i32 {
        self.0[index(word)]
    }

    fn unsigned(&self, word: i32) -> u32 {
        self.get(word).cast_unsigned()
    }

    fn id(&self) -> ConnectionId {
        ConnectionId {
            slot: self.unsigned(SLOT),
            generation: self.unsigned(GENERATION),
        }
    }

    fn sent(&self) -> u64 {
        u64::from(self.unsigned(SENT))
    }

    fn segment(&self) -> SegmentId {
        SegmentId {
            node: self.unsigned(NODE),
            offset: self.unsigned(OFFSET),
            len: self.unsigned(LENGTH),
        }
    }

    fn address(&self, word: i32) -> Address {
        Address::from_words(&self.0[index(word)..][..ADDRESS_WORDS])
    }
}

const fn index(word: i32) -> usize {
    word.cast_unsigned() as usize
}

impl Event {
    /// The record that says this.
    #[must_use]
    pub fn encode(&self) -> Record {
        let opened = |kind, id, word, number, remote, local| {
            Fields::new(kind)
                .with_id(id)
                .with_unsigned(word, number)
                .with_address(REMOTE, remote)
                .with_address(LOCAL, local)
        };
        let fields = match *self {
            Self::Accepted {
                id,
                listener,
                remote,
                local,
            } => opened(EVENT_ACCEPTED, id, LISTENER, listener, remote, local),
            Self::Connected {
                id,
                dial,
                remote,
                local,
            } => opened(EVENT_CONNECTED, id, DIAL, dial, remote, local),
            Self::DialFailed { dial, errno } => Fields::new(EVENT_DIAL_FAILED)
                .with_unsigned(DIAL, dial)
                .with(ERRNO, errno),
            Self::Data { id, segment, sent } => Fields::new(EVENT_DATA)
                .with_id(id)
                .with_segment(segment)
                .with_sent(sent),
            Self::End { id, sent } => Fields::new(EVENT_END).with_id(id).with_sent(sent),
            Self::Drained { id, sent } => Fields::new(EVENT_DRAINED).with_id(id).with_sent(sent),
            Self::Closed { id, reason, sent } => {
                let (reason, errno, syscall) = reason.to_words();
                Fields::new(EVENT_CLOSED)
                    .with_id(id)
                    .with(REASON, reason)
                    .with(ERRNO, errno)
                    .with(SYSCALL, syscall)
                    .with_sent(sent)
            }
            Self::ListenerClosed { listener, accepted } => Fields::new(EVENT_LISTENER_CLOSED)
                .with_unsigned(LISTENER, listener)
                .with_unsigned(ACCEPTED, accepted),
            Self::ListenerError { listener, errno } => Fields::new(EVENT_LISTENER_ERROR)
                .with_unsigned(LISTENER, listener)
                .with(ERRNO, errno),
            Self::NeedMemory => Fields::new(EVENT_NEED_MEMORY),
            Self::Failed => Fields::new(EVENT_FAILED),
        };
        fields.0
    }

    /// What a record says. `None` for a kind that is none. Of `sent` the upper half is lost.
    #[must_use]
    pub fn decode(record: Record) -> Option<Self> {
        let fields = Fields(record);
        let id = fields.id();
        Some(match fields.get(KIND) {
            EVENT_ACCEPTED => Self::Accepted {
                id,
                listener: fields.unsigned(LISTENER),
                remote: fields.address(REMOTE),
                local: fields.address(LOCAL),
            },
            EVENT_CONNECTED => Self::Connected {
                id,
                dial: fields.unsigned(DIAL),
                remote: fields.address(REMOTE),
                local: fields.address(LOCAL),
            },
            EVENT_DIAL_FAILED => Self::DialFailed {
                dial: fields.unsigned(DIAL),
                errno: fields.get(ERRNO),
            },
            EVENT_DATA => Self::Data {
                id,
                segment: fields.segment(),
                sent: fields.sent(),
            },
            EVENT_END => Self::End {
                id,
                sent: fields.sent(),
            },
            EVENT_DRAINED => Self::Drained {
                id,
                sent: fields.sent(),
            },
            EVENT_CLOSED => Self::Closed {
                id,
                reason: EndReason::from_words(
                    fields.get(REASON),
                    fields.get(ERRNO),
                    fields.get(SYSCALL),
                ),
                sent: fields.sent(),
            },
            EVENT_LISTENER_CLOSED => Self::ListenerClosed {
                listener: fields.unsigned(LISTENER),
                accepted: fields.unsigned(ACCEPTED),
            },
            EVENT_LISTENER_ERROR => Self::ListenerError {
                listener: fields.unsigned(LISTENER),
                errno: fields.get(ERRNO),
            },
            EVENT_NEED_MEMORY => Self::NeedMemory,
            EVENT_FAILED => Self::Failed,
            _ => return None,
        })
    }
}

impl EndReason {
    fn to_words(self) -> (i32, i32, i32) {
        match self {
            Self::Local => (REASON_LOCAL, 0, SYSCALL_NONE),
            Self::Peer => (REASON_PEER, 0, SYSCALL_NONE),
            Self::Error { errno, syscall } => (REASON_ERROR, errno, syscall),
            Self::Timeout => (REASON_TIMEOUT, 0, SYSCALL_NONE),
        }
    }

    fn from_words(reason: i32, errno: i32, syscall: i32) -> Self {
        match reason {
            REASON_PEER => Self::Peer,
            REASON_ERROR => Self::Error { errno, syscall },
            REASON_TIMEOUT => Self::Timeout,
            _ => Self::Local,
        }
    }
}

impl Command {
    /// The record that says this.
    #[must_use]
    pub fn encode(&self) -> Record {
        let fields = match *self {
            Self::Write { id, segment } => {
                Fields::new(COMMAND_WRITE).with_id(id).with_segment(segment)
            }
            Self::Close { id } => Fields::new(COMMAND_CLOSE).with_id(id),
            Self::Destroy { id } => Fields::new(COMMAND_DESTROY).with_id(id),
            Self::Acknowledge { id } => Fields::new(COMMAND_ACKNOWLEDGE).with_id(id),
            Self::Accept { listener } => {
                Fields::new(COMMAND_ACCEPT).with_unsigned(LISTENER, listener)
            }
            Self::CloseListener { listener } => {
                Fields::new(COMMAND_CLOSE_LISTENER).with_unsigned(LISTENER, listener)
            }
            Self::CancelDial { dial } => Fields::new(COMMAND_CANCEL_DIAL).with_unsigned(DIAL, dial),
            Self::Fault => Fields::new(COMMAND_FAULT),
        };
        fields.0
    }

    /// What a record says. `None` for a kind that is none.
    #[must_use]
    pub fn decode(record: Record) -> Option<Self> {
        let fields = Fields(record);
        let id = fields.id();
        Some(match fields.get(KIND) {
            COMMAND_WRITE => Self::Write {
                id,
                segment: fields.segment(),
            },
            COMMAND_CLOSE => Self::Close { id },
            COMMAND_DESTROY => Self::Destroy { id },
            COMMAND_ACKNOWLEDGE => Self::Acknowledge { id },
            COMMAND_ACCEPT => Self::Accept {
                listener: fields.unsigned(LISTENER),
            },
            COMMAND_CLOSE_LISTENER => Self::CloseListener {
                listener: fields.unsigned(LISTENER),
            },
            COMMAND_CANCEL_DIAL => Self::CancelDial {
                dial: fields.unsigned(DIAL),
            },
            COMMAND_FAULT => Self::Fault,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTREMES: [u32; 4] = [0, i32::MAX as u32, 1 << 31, u32::MAX];

    fn events(n: u32, errno: i32) -> Vec<Event> {
        let id = ConnectionId {
            slot: n,
            generation: n,
        };
        let segment = SegmentId {
            node: n,
            offset: n,
            len: n,
        };
        let address = Address::Inet("[ffff::ffff]:65535".parse().unwrap());
        let sent = u64::from(n);
        vec![
            Event::Accepted {
                id,
                listener: n,
                remote: address,
                local: Address::Unix,
            },
            Event::Connected {
                id,
                dial: n,
                remote: Address::Unix,
                local: address,
            },
            Event::DialFailed { dial: n, errno },
            Event::Data { id, segment, sent },
            Event::End { id, sent },
            Event::Drained { id, sent },
            Event::Closed {
                id,
                reason: EndReason::Local,
                sent,
            },
            Event::Closed {
                id,
                reason: EndReason::Peer,
                sent,
            },
            Event::Closed {
                id,
                reason: EndReason::Error {
                    errno,
                    syscall: SYSCALL_WRITE,
                },
                sent,
            },
            Event::Closed {
                id,
                reason: EndReason::Timeout,
                sent,
            },
            Event::ListenerClosed {
                listener: n,
                accepted: n,
            },
            Event::ListenerError { listener: n, errno },
            Event::NeedMemory,
            Event::Failed,
        ]
    }

    #[test]
    fn h69_every_field_of_an_event_survives_at_the_extremes() {
        for n in EXTREMES {
            for errno in [0, 104, -104, i32::MIN, i32::MAX] {
                for event in events(n, errno) {
                    assert_eq!(Event::decode(event.encode()), Some(event));
                }
            }
        }
    }

    #[test]
    fn h69_every_field_of_a_command_survives_at_the_extremes() {
        for n in EXTREMES {
            let id = ConnectionId {
                slot: n,
                generation: n,
            };
            let segment = SegmentId {
                node: n,
                offset: n,
                len: n,
            };
            for command in [
                Command::Write { id, segment },
                Command::Acknowledge { id },
                Command::Accept { listener: n },
                Command::Close { id },
                Command::Destroy { id },
                Command::CloseListener { listener: n },
                Command::CancelDial { dial: n },
                Command::Fault,
            ] {
                assert_eq!(Command::decode(command.encode()), Some(command));
            }
        }
    }

    #[test]
    fn an_unknown_kind_is_nothing() {
        assert_eq!(Event::decode([99; RECORD_WORDS]), None);
        assert_eq!(Command::decode([-1; RECORD_WORDS]), None);
    }
}
