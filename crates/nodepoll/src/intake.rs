use std::io::ErrorKind;

use linkbuf::Node;

use crate::connection::Connection;
use crate::error::errno_of;
use crate::io::Io;

/// How much of a connection's input may be received, and into what.
///
/// The host opens a window: a position in the stream up to which it takes input. It moves it on as
/// it consumes, and further when it waits for more than usual. Nothing else limits a connection's
/// input, so nothing else can hold it up for ever.
pub(crate) struct Intake {
    /// Bytes received: the position of the next one.
    received: u64,
    /// The position up to which may be received.
    window: u64,
    /// The host wants nothing to be read.
    paused: bool,
    /// Why something that has arrived, or may have, is not read.
    pub(crate) waiting: Waiting,
    /// The connection is no more. What the kernel still has is read in spite of all limits: it is
    /// not much, and the host must be told of the end.
    pub(crate) broken: bool,
    /// What the host wants the next bytes to be received into. Boxed, as few have any.
    pub(crate) room: Option<Box<Room>>,
}

/// Room that the host has provided for input.
pub(crate) struct Room {
    pub(crate) node: Node,
    /// Bytes at the beginning of it which are the host's to fill, until it has been told.
    front: u32,
}

/// What reading waits for, which no edge will tell of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    /// The host is to take more input.
    Host,
    /// The arena is to have memory.
    Memory,
}

impl Intake {
    pub(crate) fn new(window: u32) -> Self {
        Self {
            received: 0,
            window: u64::from(window),
            paused: false,
            waiting: Waiting::Nothing,
            broken: false,
            room: None,
        }
    }

    /// How many bytes may be received now.
    pub(crate) fn allowed(&self) -> usize {
        if self.broken {
            return usize::MAX;
        }
        if self.paused {
            return 0;
        }
        let left = self.window.saturating_sub(self.received);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// So many bytes have been received. How many bytes in front of them are the host's.
    pub(crate) fn count(&mut self, bytes: usize) -> u32 {
        self.received += bytes as u64;
        let Some(room) = &mut self.room else {
            return 0;
        };
        let front = std::mem::take(&mut room.front);
        if room.node.room() == 0 {
            self.room = None;
        }
        front
    }

    pub(crate) fn starves(&self) -> bool {
        self.waiting == Waiting::Memory
    }

    /// Nothing is received any more.
    pub(crate) fn close(&mut self) {
        self.waiting = Waiting::Nothing;
        self.room = None;
    }

    /// The whole of a position of which the host has told the lower half: the one next to where
    /// the stream is.
    fn position(&self, low: u32) -> u64 {
        let received = u32::try_from(self.received & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let distance = low.wrapping_sub(received).cast_signed();
        self.received.saturating_add_signed(distance.into())
    }
}

impl Connection {
    /// Does not read until the host wants more.
    pub(crate) fn hold(&mut self, io: &mut Io) {
        if self.probed {
            self.look_for_input(io);
        }
        // One that stands in line for memory stays there, and comes back here when there is some.
        if self.intake.waiting != Waiting::Nothing {
            return;
        }
        self.intake.waiting = Waiting::Host;
        if self.intake.paused {
            io.counters.pauses_by_host += 1;
        } else {
            io.counters.pauses_for_input += 1;
        }
    }

    /// The host takes input up to a position.
    pub(crate) fn widen(&mut self, low: u32, io: &mut Io) {
        let position = self.intake.position(low);
        self.intake.window = self.intake.window.max(position);
        self.go_on(io);
    }

    /// The host takes no input for the time being.
    pub(crate) fn pause(&mut self, _: &mut Io) {
        self.intake.paused = true;
    }

    /// The host takes input again.
    pub(crate) fn resume(&mut self, io: &mut Io) {
        self.intake.paused = false;
        self.go_on(io);
    }

    /// The host wants what comes next to be received into a node that begins at a position of the
    /// stream which was received by then, or before.
    pub(crate) fn fill(&mut self, mut node: Node, low: u32, io: &mut Io) {
        let passed = self.intake.received.checked_sub(self.intake.position(low));
        let passed = passed.and_then(|passed| u32::try_from(passed).ok());
        // What has been received in the meantime is with the host, who copies it in front.
        if let Some(front) = passed.filter(|&front| (front as usize) < node.room())
            && self.state.delivers_input()
        {
            drop(node.commit(front as usize));
            self.intake.room = Some(Box::new(Room { node, front }));
            io.feed(self);
        }
    }

    /// The host wants to know whether there is something, though it does not want it now. If there
    /// is, it is told when all of that has been read.
    fn look_for_input(&mut self, io: &mut Io) {
        match self.socket.has_input() {
            Ok(true) => {}
            // After FIN nothing more comes; it is told of when it is read.
            Ok(false) => self.found_nothing(io),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.found_nothing(io),
            Err(error) => self.read_failed(errno_of(&error), io),
        }
    }

    /// Reads what no edge will tell of.
    fn go_on(&mut self, io: &mut Io) {
        if self.intake.waiting == Waiting::Host && self.intake.allowed() > 0 {
            self.intake.waiting = Waiting::Nothing;
            io.queue(self);
        }
    }
}
