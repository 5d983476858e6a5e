use std::collections::{BTreeMap, BTreeSet};

use linkbuf::SegmentId;
use nodepoll::{Address, Command, ConnectionId, EndReason, Event, RustHost};

/// A connection, as the host knows it: its lane, and its row there.
pub(crate) type Name = (usize, ConnectionId);

/// What becomes of bytes that have arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnData {
    /// They are copied and let go.
    Release,
    /// They are copied and sent back.
    Echo,
    /// They are copied, and their lease is kept.
    Keep,
}

/// What the host has been told of one connection.
pub(crate) struct Seen {
    pub(crate) remote: Address,
    /// The number of its listener or dial.
    pub(crate) number: u32,
    pub(crate) is_dialed: bool,
    pub(crate) input: Vec<u8>,
    pub(crate) has_ended: bool,
    pub(crate) drained: Vec<u64>,
    /// How often a probe has found nothing.
    pub(crate) quiet: usize,
    /// Each time it was told to be idle: after how long.
    pub(crate) idle: Vec<u32>,
    pub(crate) closed: Option<EndReason>,
}

/// All that the host has been told, and checks that hold for every test: a connection is opened
/// once, then come its bytes, then its end, then its close, then nothing (H86); no number is told
/// of twice.
pub(crate) struct Log {
    pub(crate) on_data: OnData,
    /// Whether the host closes a connection when its peer has ended.
    pub(crate) closes_on_end: bool,
    pub(crate) connections: BTreeMap<Name, Seen>,
    /// In the order of their opening.
    pub(crate) names: Vec<Name>,
    pub(crate) dial_failures: BTreeMap<u32, i32>,
    pub(crate) listener_errors: Vec<(u32, i32)>,
    /// Number of the listener, and how many connections it says to have accepted.
    pub(crate) listeners_closed: BTreeMap<u32, u32>,
    pub(crate) failed: BTreeSet<usize>,
    pub(crate) kept: Vec<SegmentId>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            on_data: OnData::Release,
            closes_on_end: false,
            connections: BTreeMap::new(),
            names: Vec::new(),
            dial_failures: BTreeMap::new(),
            listener_errors: Vec::new(),
            listeners_closed: BTreeMap::new(),
            failed: BTreeSet::new(),
            kept: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, host: &mut RustHost, lane: usize, event: Event) {
        assert!(!self.failed.contains(&lane), "{event:?} after Failed");
        match event {
            Event::Accepted {
                id,
                listener,
                remote,
                ..
            } => self.opened((lane, id), listener, remote, false),
            Event::Connected {
                id, dial, remote, ..
            } => self.opened((lane, id), dial, remote, true),
            Event::DialFailed { dial, errno } => {
                let settled = |seen: &Seen| seen.is_dialed && seen.number == dial;
                let before = self.connections.values().any(settled);
                assert!(!before, "dial {dial} has both succeeded and failed");
                assert_eq!(self.dial_failures.insert(dial, errno), None, "told twice");
            }
            Event::Data { id, segment, .. } => self.data(host, (lane, id), segment),
            Event::End { id, .. } => {
                let seen = self.seen_open((lane, id), &event);
                assert!(!seen.has_ended, "the peer ends once");
                seen.has_ended = true;
                if self.closes_on_end {
                    send(host, lane, &Command::Close { id, millis: 0 });
                }
            }
            Event::Drained { id, sent } => {
                let drained = &mut self.seen_open((lane, id), &event).drained;
                // The same count again only if it has been asked for again.
                assert!(drained.last().is_none_or(|&before| before <= sent));
                drained.push(sent);
            }
            Event::Closed { id, reason, .. } => {
                self.seen_open((lane, id), &event).closed = Some(reason);
            }
            Event::ListenerClosed { listener, accepted } => {
                let before = self.listeners_closed.insert(listener, accepted);
                assert_eq!(before, None, "a listener is closed once");
            }
            Event::ListenerError { listener, errno } => {
                self.listener_errors.push((listener, errno));
            }
            Event::Idle { id, millis, .. } => self.seen_open((lane, id), &event).idle.push(millis),
            Event::Quiet { id, .. } => self.seen_open((lane, id), &event).quiet += 1,
            Event::NeedMemory => unreachable!("the host grants it by itself"),
            Event::Failed => assert!(self.failed.insert(lane), "a lane fails once"),
        }
    }

    pub(crate) fn seen(&self, name: Name) -> &Seen {
        &self.connections[&name]
    }

    pub(crate) fn input(&self, name: Name) -> &[u8] {
        &self.seen(name).input
    }

    pub(crate) fn closed(&self, name: Name) -> Option<EndReason> {
        self.seen(name).closed
    }

    /// How many bytes the kernel is known to have taken.
    pub(crate) fn sent(&self, name: Name) -> Option<u64> {
        self.seen(name).drained.last().copied()
    }

    pub(crate) fn has_ended(&self, name: Name) -> bool {
        self.seen(name).has_ended
    }

    /// The connections that are not closed, in lanes that live.
    pub(crate) fn open(&self) -> Vec<Name> {
        let is_open = |&(name, seen): &(&Name, &Seen)| {
            seen.closed.is_none() && !self.failed.contains(&name.0)
        };
        let open = self.connections.iter().filter(is_open);
        open.map(|(&name, _)| name).collect()
    }

    /// The connection that `dial` has become.
    pub(crate) fn dialed(&self, dial: u32) -> Option<Name> {
        let is_it = |seen: &Seen| seen.is_dialed && seen.number == dial;
        let mut found = self.connections.iter().filter(|(_, seen)| is_it(seen));
        found.next().map(|(&name, _)| name)
    }

    fn opened(&mut self, name: Name, number: u32, remote: Address, is_dialed: bool) {
        let seen = Seen {
            remote,
            number,
            is_dialed,
            input: Vec::new(),
            has_ended: false,
            drained: Vec::new(),
            quiet: 0,
            idle: Vec::new(),
            closed: None,
        };
        if is_dialed {
            let before = self.dialed(number).is_some() || self.dial_failures.contains_key(&number);
            assert!(!before, "dial {number} settles twice");
        }
        let before = self.connections.insert(name, seen);
        assert!(before.is_none(), "{name:?} is opened twice");
        self.names.push(name);
    }

    fn data(&mut self, host: &mut RustHost, name: Name, id: SegmentId) {
        let on_data = self.on_data;
        let seen = self.connections.get_mut(&name).expect("opened before data");
        assert!(!seen.has_ended && seen.closed.is_none(), "data comes first");
        let segment = host.runtime().arena().take_leased(id);
        let segment = segment.expect("data comes with a lease");
        assert!(!segment.as_slice().is_empty(), "data is not nothing");
        seen.input.extend_from_slice(segment.as_slice());
        match on_data {
            OnData::Release => drop(segment),
            OnData::Keep => self.kept.push(segment.into_lease()),
            OnData::Echo => {
                let command = Command::Write {
                    id: name.1,
                    segment: segment.into_lease(),
                };
                send(host, name.0, &command);
            }
        }
    }

    fn seen_open(&mut self, name: Name, event: &Event) -> &mut Seen {
        let seen = self.connections.get_mut(&name);
        let seen = seen.unwrap_or_else(|| panic!("{event:?} before it is opened"));
        assert!(seen.closed.is_none(), "{event:?} after Closed");
        seen
    }
}

/// Sends a command, by an exchange in between if the ring is full.
pub(crate) fn send(host: &mut RustHost, lane: usize, command: &Command) {
    while !host.send(lane, command) {
        host.hand_over();
    }
}
