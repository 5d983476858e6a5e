use std::time::Instant;

use linkbuf::{NODE_BYTES_MAX, Purpose, SegmentId};
use nodepoll::{Command, ConnectionId, EndReason, RustHost};

use crate::flow::Flow;
use crate::scenario::{Act, EndPlan};
use crate::silence::Silence;

/// A connection, as the host knows it: its lane, and its row there.
pub(crate) type Name = (usize, ConnectionId);

/// An end that is the runtime's.
pub(crate) struct Local {
    pub(crate) plan: EndPlan,
    /// `None` until it is opened.
    pub(crate) name: Option<Name>,
    /// What it is to do once it is opened.
    pub(crate) deferred: Vec<Act>,
    /// The position up to which it may receive.
    pub(crate) granted: u64,
    is_paused: bool,
    kept: Vec<SegmentId>,
    /// Rooms that were provided, and the positions that they begin at.
    rooms: Vec<(SegmentId, u64)>,
    /// Bytes that are known to be sent.
    pub(crate) sent: u64,
    /// Bytes that the host is to be told of when they are sent.
    pub(crate) sent_due: u64,
    /// How often the host has asked whether a read finds nothing, and was told so.
    pub(crate) probes: u32,
    pub(crate) quiets: u32,
    /// So many of them have to come: several questions may have one answer.
    pub(crate) quiets_due: u32,
    pub(crate) silence: Silence,
    /// Milliseconds that it was given to close in, if not the usual time.
    pub(crate) close_millis: Option<u32>,
    pub(crate) closed: Option<EndReason>,
}

impl Local {
    pub(crate) fn new(plan: EndPlan) -> Self {
        Self {
            plan,
            name: None,
            deferred: Vec::new(),
            granted: plan.window.into(),
            is_paused: false,
            kept: Vec::new(),
            rooms: Vec::new(),
            sent: 0,
            sent_due: 0,
            probes: 0,
            quiets: 0,
            quiets_due: 0,
            silence: Silence::default(),
            close_millis: None,
            closed: None,
        }
    }

    pub(crate) fn act(&mut self, flow: &mut Flow, host: &mut RustHost, act: Act) {
        let Some((lane, id)) = self.name else {
            return self.deferred.push(act);
        };
        self.is_paused = match act {
            Act::Pause => true,
            Act::Resume => false,
            _ => self.is_paused,
        };
        let command = match act {
            Act::Write { bytes, pieces } => {
                return self.write(flow, host, bytes, bytes.div_ceil(pieces));
            }
            Act::Widen(bytes) => return self.widen(flow, host, bytes),
            Act::Fill { bytes, behind } => return self.fill(flow, host, bytes, behind),
            Act::Release => return self.release(host, self.kept.len().div_ceil(2)),
            Act::Pause => Command::Pause { id },
            Act::Resume => Command::Resume { id },
            Act::Acknowledge => {
                self.sent_due = flow.written;
                Command::Acknowledge { id }
            }
            Act::Probe => {
                self.probes += 1;
                self.quiets_due = self.quiets + 1;
                Command::Probe { id }
            }
            Act::CloseWrite => Command::CloseWrite { id },
            Act::Close(millis) => {
                if flow.is_open() && millis > 0 {
                    self.close_millis = Some(millis);
                }
                Command::Close { id, millis }
            }
            Act::Idle(millis) => {
                if !flow.is_open() {
                    return;
                }
                let millis = self.silence.ask(millis);
                Command::Idle { id, millis }
            }
            Act::Destroy => Command::Destroy { id },
            Act::Reset => Command::Reset { id },
        };
        send(host, lane, &command);
    }

    /// Bytes from `position` have come, the first ones into a room if there is a `front`: they lie
    /// as far behind its beginning as the room begins before them.
    pub(crate) fn check_place(&self, position: u64, segment: SegmentId, front: u32) {
        let fits = |&(room, start): &(SegmentId, u64)| {
            room.node == segment.node
                && room.offset + front == segment.offset
                && start + u64::from(front) == position
        };
        let is_right = front == 0 || self.rooms.iter().any(fits);
        assert!(is_right, "{segment:?} with {front} is not at its place");
    }

    /// Bytes have come. Some of their leases are kept for a while.
    pub(crate) fn received(&mut self, flow: &Flow, host: &mut RustHost, segment: SegmentId) {
        if self.kept.len() < self.plan.keeps {
            self.kept.push(segment);
        } else {
            assert!(host.release(segment), "what arrives has a lease");
        }
        let left = self.granted.saturating_sub(flow.received);
        if self.plan.widens && left < u64::from(self.plan.window / 2) {
            self.widen(flow, host, self.plan.window);
        }
    }

    /// Nothing holds its input up any more.
    pub(crate) fn let_go(&mut self, flow: &mut Flow, host: &mut RustHost) {
        self.plan.keeps = 0;
        self.plan.widens = true;
        self.plan.window = 1 << 30;
        self.release(host, self.kept.len());
        self.act(flow, host, Act::Resume);
        self.act(flow, host, Act::Widen(1 << 30));
    }

    /// What it is called, what it waits for and what it holds, for a failure.
    pub(crate) fn describe(&self) -> String {
        let Self { name, granted, .. } = self;
        let (kept, rooms) = (self.kept.len(), self.rooms.len());
        let held = format!("keeps {kept} leases, provided {rooms} rooms");
        let paused = if self.is_paused { " paused" } else { "" };
        let (sent, closed) = (self.sent, self.closed);
        format!("{name:?}{paused} up to {granted}, {held}, sent {sent} for sure, {closed:?},")
    }

    fn write(&mut self, flow: &mut Flow, host: &mut RustHost, bytes: usize, piece_max: usize) {
        let (lane, id) = self.name.expect("it is opened");
        let (mut left, at) = (bytes, Instant::now());
        while left > 0 {
            let arena = host.runtime().arena();
            let allocate = || arena.allocate_for(Purpose::Output, left.min(NODE_BYTES_MAX));
            let Some(mut node) = granting(host, allocate) else {
                // The arena is as large as it gets: the host has to do with less.
                return;
            };
            while left > 0 && node.room() > 1 {
                let len = left.min(piece_max).min(node.room() - 1);
                // A connection that has been asked to end gets bytes too, which nobody may see.
                let bytes = flow.stream.bytes(flow.written, len);
                let segment = node.write(bytes).into_lease();
                // A gap, so that neighbours do not join.
                drop(node.write(b"-"));
                send(host, lane, &Command::Write { id, segment });
                left -= bytes.len();
                if flow.takes_output() {
                    flow.wrote(bytes.len(), at);
                }
            }
        }
    }

    fn widen(&mut self, flow: &Flow, host: &mut RustHost, bytes: u32) {
        let (lane, id) = self.name.expect("it is opened");
        self.granted = self.granted.max(flow.received + u64::from(bytes));
        let position = low_half(flow.received + u64::from(bytes));
        send(host, lane, &Command::Window { id, position });
    }

    fn fill(&mut self, flow: &Flow, host: &mut RustHost, bytes: usize, behind: u64) {
        let (lane, id) = self.name.expect("it is opened");
        let arena = host.runtime().arena();
        let Some(leased) = granting(host, || arena.lease_node_for(Purpose::Room, bytes)) else {
            return;
        };
        // Of its leases, one for each byte, one is left to hand over.
        if leased.len > 1 {
            assert!(arena.release(leased.node, leased.len - 1));
        }
        let room = SegmentId {
            len: u32::try_from(bytes).unwrap(),
            ..leased
        };
        let position = flow.received.saturating_sub(behind);
        self.rooms.push((room, position));
        let position = low_half(position);
        send(host, lane, &Command::Fill { id, room, position });
    }

    fn release(&mut self, host: &RustHost, count: usize) {
        for segment in self.kept.drain(..count) {
            assert!(host.release(segment), "what was kept has a lease");
        }
    }
}

/// What `allocate` gets, with one more chunk if need be.
fn granting<T>(host: &RustHost, allocate: impl Fn() -> Option<T>) -> Option<T> {
    allocate().or_else(|| {
        host.grant();
        allocate()
    })
}

/// Sends a command, by an exchange in between if the ring is full.
pub(crate) fn send(host: &mut RustHost, lane: usize, command: &Command) {
    while !host.send(lane, command) {
        host.hand_over();
    }
}

fn low_half(position: u64) -> u32 {
    u32::try_from(position & u64::from(u32::MAX)).unwrap()
}
