use std::io::ErrorKind;

use linkbuf::{Arena, Node, Purpose};

use crate::connection::Connection;
use crate::error::errno_of;
use crate::event::{EndReason, Event};
use crate::io::Io;
use crate::limits::{
    DISCARD_BYTES, EVENTS_RESERVED, LINGER_BYTES, MEMORY_LOW_BYTES, READ_BYTES_PER_TURN,
    READ_NODE_BYTES, READ_ROOM_MIN,
};
use crate::record::SYSCALL_READ;
use crate::sys::SHORT_READ_EMPTIES;

/// Where a driver receives into: one node for all its connections, front to back, so that small
/// messages of many connections lie side by side and a quiet connection holds nothing.
pub(crate) struct ReadMemory {
    arena: Arena,
    node: Option<Node>,
    /// What the arena had been granted when the host was last asked for more.
    asked_at: Option<usize>,
    /// The node is shorter than it should be, and the host has not been told.
    is_in_pieces: bool,
    /// Sockets have begun to wait for memory, and the host has not been told.
    pub(crate) is_short: bool,
}

impl ReadMemory {
    pub(crate) fn new(arena: Arena) -> Self {
        Self {
            arena,
            node: None,
            asked_at: None,
            is_in_pieces: false,
            is_short: false,
        }
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The node to receive into, or `None` if the arena has no memory.
    fn node(&mut self) -> Option<&mut Node> {
        if self
            .node
            .as_ref()
            .is_none_or(|node| node.room() < READ_ROOM_MIN)
        {
            self.node = None;
            self.node = self
                .arena
                .allocate_some(Purpose::Input, READ_NODE_BYTES, READ_ROOM_MIN);
            let is_piece = |node: &Node| node.capacity() < READ_NODE_BYTES;
            self.is_in_pieces |= self.node.as_ref().is_some_and(is_piece);
        }
        self.node.as_mut()
    }

    /// Whether the host should be asked for a chunk: once for each chunk, and for each node that is
    /// too short, and whenever sockets begin to wait.
    fn wants_chunk(&mut self) -> bool {
        if std::mem::take(&mut self.is_short) {
            return true;
        }
        let is_in_pieces = std::mem::take(&mut self.is_in_pieces);
        let is_enough = self.arena.bytes_divisible() >= MEMORY_LOW_BYTES && !is_in_pieces;
        if is_enough || self.arena.is_full() {
            return false;
        }
        let granted = self.arena.bytes_granted();
        self.asked_at.replace(granted) != Some(granted)
    }
}

impl Connection {
    /// Reads what has arrived, as far as budget, memory and room for events go.
    pub(crate) fn receive(&mut self, io: &mut Io) {
        let mut budget = READ_BYTES_PER_TURN;
        while self.state.delivers_input() {
            if !io.has_room(EVENTS_RESERVED) {
                return io.stall(self);
            }
            if budget == 0 {
                return io.queue(self);
            }
            let allowed = self.intake.allowed();
            if allowed == 0 {
                return self.hold(io);
            }
            let room = self.intake.room.as_mut().map(|room| &mut room.node);
            let Some(node) = room.or_else(|| io.memory.node()) else {
                return self.wait_for_memory(budget < READ_BYTES_PER_TURN, io);
            };
            let space = node.spare();
            let asked = space.len().min(allowed);
            io.counters.reads += 1;
            match self.socket.receive(&mut space[..asked]) {
                Ok(0) => return self.peer_ended(io),
                Ok(count) => {
                    let segment = node.commit(count).into_lease();
                    let front = self.intake.count(count);
                    io.counters.bytes_read += count as u64;
                    self.active_at = io.now;
                    let id = self.key.id();
                    io.post(&Event::Data {
                        id,
                        segment,
                        front,
                        sent: self.sent,
                    });
                    if count < asked && SHORT_READ_EMPTIES && !self.ending && !self.probed {
                        return;
                    }
                    budget = budget.saturating_sub(count);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return self.read_blocked(io),
                    ErrorKind::Interrupted => {}
                    _ => return self.read_failed(errno_of(&error), io),
                },
            }
        }
        if self.state.discards_input() {
            self.discard(io);
        }
    }

    /// There is no memory to read into, which only bytes need: an end is told without.
    fn wait_for_memory(&mut self, has_read: bool, io: &mut Io) {
        match self.socket.has_input() {
            Ok(true) => io.starve(self, has_read),
            Ok(false) => self.peer_ended(io),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.read_blocked(io),
            Err(error) => self.read_failed(errno_of(&error), io),
        }
    }

    /// Reads and throws away, so that the kernel does not answer unread input with a reset.
    fn discard(&mut self, io: &mut Io) {
        let mut budget = READ_BYTES_PER_TURN;
        while self.state.discards_input() {
            if budget == 0 {
                return io.queue(self);
            }
            io.counters.reads += 1;
            io.discard.resize(DISCARD_BYTES, 0);
            match self.socket.receive(&mut io.discard) {
                Ok(0) => return self.peer_ended(io),
                Ok(count) => {
                    let discarded = &mut self.extras().discarded;
                    *discarded += count;
                    if *discarded > LINGER_BYTES {
                        return self.end(EndReason::Local, io);
                    }
                    budget = budget.saturating_sub(count);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted => {}
                    _ => return self.read_failed(errno_of(&error), io),
                },
            }
        }
    }

    fn read_blocked(&mut self, io: &mut Io) {
        if let Some(failure) = self.failure() {
            return self.end(failure, io);
        }
        self.found_nothing(io);
    }

    pub(crate) fn read_failed(&mut self, errno: i32, io: &mut Io) {
        let failure = EndReason::Error {
            errno,
            syscall: SYSCALL_READ,
        };
        self.end(self.failure().unwrap_or(failure), io);
    }
}

impl Io {
    /// Asks the host for a chunk when the arena runs low.
    pub(crate) fn ask_for_memory(&mut self) {
        if self.has_room(0) && self.memory.wants_chunk() {
            self.post(&Event::NeedMemory);
        }
    }
}
