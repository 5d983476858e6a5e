use linkbuf::SegmentId;

use crate::address::Address;
use crate::record::{
    ACCEPTED, ConnectionId, DIAL, ERRNO, EVENT_ACCEPTED, EVENT_CLOSED, EVENT_CONNECTED, EVENT_DATA,
    EVENT_DIAL_FAILED, EVENT_DRAINED, EVENT_END, EVENT_FAILED, EVENT_IDLE, EVENT_LISTENER_CLOSED,
    EVENT_LISTENER_ERROR, EVENT_NEED_MEMORY, EVENT_QUIET, FRONT, Fields, IDLE_MILLIS, KIND,
    LISTENER, LOCAL, REASON, REASON_ERROR, REASON_LOCAL, REASON_PEER, REASON_TIMEOUT, REMOTE,
    Record, SYSCALL, SYSCALL_NONE,
};

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
        /// The number of the call: see [`SYSCALL_READ`](crate::record::SYSCALL_READ).
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
    /// [`EVENT_ACCEPTED`](crate::record::EVENT_ACCEPTED)
    Accepted {
        id: ConnectionId,
        listener: u32,
        remote: Address,
        local: Address,
    },
    /// [`EVENT_CONNECTED`](crate::record::EVENT_CONNECTED)
    Connected {
        id: ConnectionId,
        dial: u32,
        remote: Address,
        local: Address,
    },
    /// [`EVENT_DIAL_FAILED`](crate::record::EVENT_DIAL_FAILED)
    DialFailed { dial: u32, errno: i32 },
    /// [`EVENT_DATA`](crate::record::EVENT_DATA)
    Data {
        id: ConnectionId,
        segment: SegmentId,
        front: u32,
        sent: u64,
    },
    /// [`EVENT_END`](crate::record::EVENT_END)
    End { id: ConnectionId, sent: u64 },
    /// [`EVENT_DRAINED`](crate::record::EVENT_DRAINED)
    Drained { id: ConnectionId, sent: u64 },
    /// [`EVENT_CLOSED`](crate::record::EVENT_CLOSED)
    Closed {
        id: ConnectionId,
        reason: EndReason,
        sent: u64,
    },
    /// [`EVENT_LISTENER_CLOSED`](crate::record::EVENT_LISTENER_CLOSED)
    ListenerClosed { listener: u32, accepted: u32 },
    /// [`EVENT_LISTENER_ERROR`](crate::record::EVENT_LISTENER_ERROR)
    ListenerError { listener: u32, errno: i32 },
    /// [`EVENT_NEED_MEMORY`](crate::record::EVENT_NEED_MEMORY)
    NeedMemory,
    /// [`EVENT_FAILED`](crate::record::EVENT_FAILED)
    Failed,
    /// [`EVENT_QUIET`](crate::record::EVENT_QUIET)
    Quiet { id: ConnectionId, sent: u64 },
    /// [`EVENT_IDLE`](crate::record::EVENT_IDLE)
    Idle {
        id: ConnectionId,
        millis: u32,
        sent: u64,
    },
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
            Self::Data {
                id,
                segment,
                front,
                sent,
            } => Fields::new(EVENT_DATA)
                .with_id(id)
                .with_segment(segment)
                .with_unsigned(FRONT, front)
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
            Self::Quiet { id, sent } => Fields::new(EVENT_QUIET).with_id(id).with_sent(sent),
            Self::Idle { id, millis, sent } => Fields::new(EVENT_IDLE)
                .with_id(id)
                .with_unsigned(IDLE_MILLIS, millis)
                .with_sent(sent),
        };
        fields.into_record()
    }

    /// What a record says. `None` for a kind that is none. Of `sent` the upper half is lost.
    #[must_use]
    pub fn decode(record: Record) -> Option<Self> {
        let fields = Fields::of(record);
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
                front: fields.unsigned(FRONT),
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
            EVENT_QUIET => Self::Quiet {
                id,
                sent: fields.sent(),
            },
            EVENT_IDLE => Self::Idle {
                id,
                millis: fields.unsigned(IDLE_MILLIS),
                sent: fields.sent(),
            },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RECORD_WORDS, SYSCALL_WRITE};

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
            Event::Data {
                id,
                segment,
                front: n,
                sent,
            },
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
            Event::Quiet { id, sent },
            Event::Idle {
                id,
                millis: n,
                sent,
            },
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
    fn an_unknown_kind_is_nothing() {
        assert_eq!(Event::decode([99; RECORD_WORDS]), None);
    }
}
