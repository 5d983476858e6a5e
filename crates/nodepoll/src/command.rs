use linkbuf::SegmentId;

use crate::options::KeepAlive;
use crate::record::{
    COMMAND_ACCEPT, COMMAND_ACKNOWLEDGE, COMMAND_CANCEL_DIAL, COMMAND_CLOSE,
    COMMAND_CLOSE_LISTENER, COMMAND_CLOSE_WRITE, COMMAND_DESTROY, COMMAND_FAULT, COMMAND_FILL,
    COMMAND_IDLE, COMMAND_KEEP_ALIVE, COMMAND_NO_DELAY, COMMAND_PAUSE, COMMAND_PROBE,
    COMMAND_RESET, COMMAND_RESUME, COMMAND_WINDOW, COMMAND_WRITE, ConnectionId, DIAL, Fields,
    KEEP_ALIVE_COUNT, KEEP_ALIVE_IDLE, KEEP_ALIVE_INTERVAL, KIND, LISTENER, MILLIS, ON, POSITION,
    Record, WINDOW,
};

/// What a host tells a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are documented at the words of the same names"
)]
pub enum Command {
    /// [`COMMAND_WRITE`](crate::record::COMMAND_WRITE)
    Write {
        id: ConnectionId,
        segment: SegmentId,
    },
    /// [`COMMAND_CLOSE`](crate::record::COMMAND_CLOSE)
    Close {
        id: ConnectionId,
        /// Time to send the output in; 0 stands for the usual time.
        millis: u32,
    },
    /// [`COMMAND_DESTROY`](crate::record::COMMAND_DESTROY)
    Destroy { id: ConnectionId },
    /// [`COMMAND_RESET`](crate::record::COMMAND_RESET)
    Reset { id: ConnectionId },
    /// [`COMMAND_ACKNOWLEDGE`](crate::record::COMMAND_ACKNOWLEDGE)
    Acknowledge { id: ConnectionId },
    /// [`COMMAND_ACCEPT`](crate::record::COMMAND_ACCEPT)
    Accept { listener: u32, window: u32 },
    /// [`COMMAND_CLOSE_LISTENER`](crate::record::COMMAND_CLOSE_LISTENER)
    CloseListener { listener: u32 },
    /// [`COMMAND_CANCEL_DIAL`](crate::record::COMMAND_CANCEL_DIAL)
    CancelDial { dial: u32 },
    /// [`COMMAND_FAULT`](crate::record::COMMAND_FAULT)
    Fault,
    /// [`COMMAND_PROBE`](crate::record::COMMAND_PROBE)
    Probe { id: ConnectionId },
    /// [`COMMAND_WINDOW`](crate::record::COMMAND_WINDOW)
    Window { id: ConnectionId, position: u32 },
    /// [`COMMAND_PAUSE`](crate::record::COMMAND_PAUSE)
    Pause { id: ConnectionId },
    /// [`COMMAND_RESUME`](crate::record::COMMAND_RESUME)
    Resume { id: ConnectionId },
    /// [`COMMAND_FILL`](crate::record::COMMAND_FILL)
    Fill {
        id: ConnectionId,
        room: SegmentId,
        position: u32,
    },
    /// [`COMMAND_CLOSE_WRITE`](crate::record::COMMAND_CLOSE_WRITE)
    CloseWrite { id: ConnectionId },
    /// [`COMMAND_IDLE`](crate::record::COMMAND_IDLE)
    Idle { id: ConnectionId, millis: u32 },
    /// [`COMMAND_NO_DELAY`](crate::record::COMMAND_NO_DELAY)
    NoDelay { id: ConnectionId, on: bool },
    /// [`COMMAND_KEEP_ALIVE`](crate::record::COMMAND_KEEP_ALIVE)
    KeepAlive {
        id: ConnectionId,
        keep_alive: Option<KeepAlive>,
    },
}

impl Command {
    /// The record that says this.
    #[must_use]
    pub fn encode(&self) -> Record {
        let fields = match *self {
            Self::Write { id, segment } => {
                Fields::new(COMMAND_WRITE).with_id(id).with_segment(segment)
            }
            Self::Close { id, millis } => Fields::new(COMMAND_CLOSE)
                .with_id(id)
                .with_unsigned(MILLIS, millis),
            Self::Destroy { id } => Fields::new(COMMAND_DESTROY).with_id(id),
            Self::Reset { id } => Fields::new(COMMAND_RESET).with_id(id),
            Self::Acknowledge { id } => Fields::new(COMMAND_ACKNOWLEDGE).with_id(id),
            Self::Accept { listener, window } => Fields::new(COMMAND_ACCEPT)
                .with_unsigned(LISTENER, listener)
                .with_unsigned(WINDOW, window),
            Self::CloseListener { listener } => {
                Fields::new(COMMAND_CLOSE_LISTENER).with_unsigned(LISTENER, listener)
            }
            Self::CancelDial { dial } => Fields::new(COMMAND_CANCEL_DIAL).with_unsigned(DIAL, dial),
            Self::Fault => Fields::new(COMMAND_FAULT),
            Self::Probe { id } => Fields::new(COMMAND_PROBE).with_id(id),
            Self::Window { id, position } => Fields::new(COMMAND_WINDOW)
                .with_id(id)
                .with_position(position),
            Self::Pause { id } => Fields::new(COMMAND_PAUSE).with_id(id),
            Self::Resume { id } => Fields::new(COMMAND_RESUME).with_id(id),
            Self::Fill { id, room, position } => Fields::new(COMMAND_FILL)
                .with_id(id)
                .with_segment(room)
                .with_position(position),
            Self::CloseWrite { id } => Fields::new(COMMAND_CLOSE_WRITE).with_id(id),
            Self::Idle { id, millis } => Fields::new(COMMAND_IDLE)
                .with_id(id)
                .with_unsigned(MILLIS, millis),
            Self::NoDelay { id, on } => Fields::new(COMMAND_NO_DELAY)
                .with_id(id)
                .with_unsigned(ON, u32::from(on)),
            Self::KeepAlive { id, keep_alive } => {
                let words = keep_alive.unwrap_or_default();
                Fields::new(COMMAND_KEEP_ALIVE)
                    .with_id(id)
                    .with_unsigned(KEEP_ALIVE_IDLE, words.idle_seconds)
                    .with_unsigned(KEEP_ALIVE_INTERVAL, words.interval_seconds)
                    .with_unsigned(KEEP_ALIVE_COUNT, words.count)
            }
        };
        fields.into_record()
    }

    /// What a record says. `None` for a kind that is none.
    #[must_use]
    pub fn decode(record: Record) -> Option<Self> {
        let fields = Fields::of(record);
        let id = fields.id();
        Some(match fields.get(KIND) {
            COMMAND_WRITE => Self::Write {
                id,
                segment: fields.segment(),
            },
            COMMAND_CLOSE => Self::Close {
                id,
                millis: fields.unsigned(MILLIS),
            },
            COMMAND_DESTROY => Self::Destroy { id },
            COMMAND_RESET => Self::Reset { id },
            COMMAND_ACKNOWLEDGE => Self::Acknowledge { id },
            COMMAND_ACCEPT => Self::Accept {
                listener: fields.unsigned(LISTENER),
                window: fields.unsigned(WINDOW),
            },
            COMMAND_CLOSE_LISTENER => Self::CloseListener {
                listener: fields.unsigned(LISTENER),
            },
            COMMAND_CANCEL_DIAL => Self::CancelDial {
                dial: fields.unsigned(DIAL),
            },
            COMMAND_FAULT => Self::Fault,
            COMMAND_PROBE => Self::Probe { id },
            COMMAND_WINDOW => Self::Window {
                id,
                position: fields.unsigned(POSITION),
            },
            COMMAND_PAUSE => Self::Pause { id },
            COMMAND_RESUME => Self::Resume { id },
            COMMAND_FILL => Self::Fill {
                id,
                room: fields.segment(),
                position: fields.unsigned(POSITION),
            },
            COMMAND_CLOSE_WRITE => Self::CloseWrite { id },
            COMMAND_IDLE => Self::Idle {
                id,
                millis: fields.unsigned(MILLIS),
            },
            COMMAND_NO_DELAY => Self::NoDelay {
                id,
                on: fields.unsigned(ON) != 0,
            },
            COMMAND_KEEP_ALIVE => {
                let keep_alive = KeepAlive {
                    idle_seconds: fields.unsigned(KEEP_ALIVE_IDLE),
                    interval_seconds: fields.unsigned(KEEP_ALIVE_INTERVAL),
                    count: fields.unsigned(KEEP_ALIVE_COUNT),
                };
                Self::KeepAlive {
                    id,
                    keep_alive: (keep_alive.idle_seconds > 0).then_some(keep_alive),
                }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RECORD_WORDS;

    const EXTREMES: [u32; 4] = [0, i32::MAX as u32, 1 << 31, u32::MAX];

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
                Command::Reset { id },
                Command::Acknowledge { id },
                Command::Accept {
                    listener: n,
                    window: n,
                },
                Command::Close { id, millis: n },
                Command::Destroy { id },
                Command::CloseListener { listener: n },
                Command::CancelDial { dial: n },
                Command::Fault,
                Command::Probe { id },
                Command::Window { id, position: n },
                Command::Pause { id },
                Command::Resume { id },
                Command::Fill {
                    id,
                    room: segment,
                    position: n,
                },
                Command::CloseWrite { id },
                Command::Idle { id, millis: n },
                Command::NoDelay { id, on: n > 0 },
                Command::KeepAlive {
                    id,
                    keep_alive: (n > 0).then_some(KeepAlive {
                        idle_seconds: n,
                        interval_seconds: n,
                        count: n,
                    }),
                },
            ] {
                assert_eq!(Command::decode(command.encode()), Some(command));
            }
        }
    }

    #[test]
    fn an_unknown_kind_is_nothing() {
        assert_eq!(Command::decode([-1; RECORD_WORDS]), None);
    }
}
