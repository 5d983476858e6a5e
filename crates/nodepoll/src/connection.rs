use std::time::Duration;

use linkbuf::LinkBuffer;

use crate::connection_state::ConnectionState;
use crate::error::errno_of;
use crate::event::{EndReason, Event};
use crate::gate::Place;
use crate::intake::Intake;
use crate::io::Io;
use crate::key::Key;
use crate::limits::{CLOSE_SEND_TIME, LINGER_TIME};
use crate::moment::Moment;
use crate::readiness::Readiness;
use crate::sys::socket::Socket;

/// One row of the driver's table: a connected socket and what is on its way to it.
pub(crate) struct Connection {
    pub(crate) key: Key,
    pub(crate) socket: Socket,
    pub(crate) state: ConnectionState,
    /// Flushed output that the kernel has not taken.
    pub(crate) output: LinkBuffer,
    /// Bytes that the kernel has taken.
    pub(crate) sent: u64,
    /// How much may be received, and into what.
    pub(crate) intake: Intake,
    idle: Idle,
    /// When a byte has come or gone last.
    pub(crate) active_at: Moment,
    /// The soonest entry among the timers.
    armed: Option<Moment>,
    /// Why the connection is closed, once it is.
    pub(crate) reason: EndReason,
    /// The kernel has told of an end, an error or urgent data: a short read proves nothing then.
    pub(crate) ending: bool,
    /// Its end is a reset.
    resets: bool,
    /// The host wants to know when a read finds nothing.
    pub(crate) probed: bool,
    /// The driver's lists that it stands in.
    pub(crate) listed: Listed,
    /// Its place within a limit.
    _place: Option<Place>,
    /// What the host has not been told of yet.
    owed: Owed,
    extras: Option<Box<Extras>>,
}

/// What few connections have at a time, made for those that do: idle ones are counted in bytes.
#[derive(Default)]
pub(crate) struct Extras {
    /// The host wants to be told of sent bytes: how many it knows of, and up to which count.
    pub(crate) acknowledge: Option<(u64, u64)>,
    /// Input thrown away since the close began.
    pub(crate) discarded: usize,
    /// When a graceful close gives up. The entry among the timers is only a hint to look here.
    deadline: Option<Moment>,
    /// Why sending has failed, while input that came before it is still being read.
    failure: Option<EndReason>,
}

/// The driver's lists that a connection stands in, so that it is never in one of them twice.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "it may stand in any of them")]
pub(crate) struct Listed {
    /// To be read again: at once, or when there is room or memory.
    pub(crate) queued: bool,
    /// It has new output.
    pub(crate) dirty: bool,
    /// To tell the host something when there is room.
    pub(crate) owing: bool,
    /// To be freed.
    pub(crate) dead: bool,
}

/// After how many milliseconds without a byte the host is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    Never,
    After(u32),
    /// So much time has passed, and the host is to be told.
    Owed(u32),
}

/// Events that wait for room in the event ring.
#[derive(Default)]
struct Owed {
    end: bool,
    drained: bool,
    quiet: bool,
}

impl Connection {
    pub(crate) fn new(
        key: Key,
        socket: Socket,
        window: u32,
        now: Moment,
        place: Option<Place>,
    ) -> Self {
        Self {
            key,
            socket,
            state: ConnectionState::Open,
            output: LinkBuffer::new(),
            sent: 0,
            intake: Intake::new(window),
            idle: Idle::Never,
            active_at: now,
            armed: None,
            reason: EndReason::Local,
            ending: false,
            resets: false,
            probed: false,
            listed: Listed::default(),
            _place: place,
            owed: Owed::default(),
            extras: None,
        }
    }

    pub(crate) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// The same, if there are any.
    pub(crate) fn extras_if_any(&mut self) -> Option<&mut Extras> {
        self.extras.as_deref_mut()
    }

    /// Why sending has failed, while input that came before it is still being read.
    pub(crate) fn failure(&self) -> Option<EndReason> {
        self.extras.as_ref().and_then(|extras| extras.failure)
    }

    /// When a graceful close gives up.
    fn deadline(&self) -> Option<Moment> {
        self.extras.as_ref().and_then(|extras| extras.deadline)
    }

    /// The kernel has said something of the socket.
    pub(crate) fn on_readiness(&mut self, readiness: Readiness, io: &mut Io) {
        use Readiness as R;

        let is_ending = readiness.says(R::READ_CLOSED.and(R::WRITE_CLOSED).and(R::ERROR));
        let has_failed = readiness.says(R::ERROR);
        self.ending |= is_ending || readiness.says(R::PRIORITY);
        self.intake.broken |= has_failed;
        if is_ending || readiness.says(R::READABLE) {
            self.receive(io);
        }
        if readiness.says(R::WRITABLE) {
            self.send(io);
        }
        // What has arrived cannot be told without memory, but that the connection is no more can.
        if has_failed && (self.intake.starves() || !self.state.delivers_input()) {
            self.end_on_error(io);
        }
    }

    /// Sends FIN after what is queued. Input is still received.
    pub(crate) fn close_write(&mut self, io: &mut Io) {
        if self.is_closing() || self.failure().is_some() {
            return;
        }
        self.state = self.state.write_closing();
        // If nothing else happens, it ends with the second of the two FINs.
        self.reason = EndReason::Peer;
        self.finish_output(io);
    }

    /// Begins a graceful close: sends what is queued, in this time, then FIN, then waits for the
    /// peer's.
    pub(crate) fn close(&mut self, millis: u32, io: &mut Io) {
        if self.is_closing() {
            return;
        }
        self.state = self.state.closing();
        self.reason = EndReason::Local;
        if self.failure().is_some() {
            return self.end(EndReason::Local, io);
        }
        let time = match millis {
            _ if self.state == ConnectionState::Lingering => LINGER_TIME,
            0 => CLOSE_SEND_TIME,
            _ => Duration::from_millis(millis.into()),
        };
        self.give_up_after(time, io);
        // From here on input is discarded, also what waits for room or memory: discarding needs
        // neither.
        self.listed.queued = false;
        self.intake.close();
        io.queue(self);
        self.finish_output(io);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&mut self, io: &mut Io) {
        self.resets = true;
        self.end(EndReason::Local, io);
    }

    /// Takes the steps that follow once all output is gone.
    pub(crate) fn finish_output(&mut self, io: &mut Io) {
        if !self.output.is_empty() || self.listed.dirty {
            return;
        }
        let before = self.state;
        self.state = before.output_sent();
        match self.state {
            ConnectionState::Lingering if before != ConnectionState::Lingering => {
                if self.socket.shutdown_write().is_err() {
                    return self.end(EndReason::Local, io);
                }
                self.give_up_after(LINGER_TIME, io);
            }
            ConnectionState::WriteClosed if before != ConnectionState::WriteClosed => {
                // If it fails, the socket is no more, and a read tells why.
                self.ending |= self.socket.shutdown_write().is_err();
                io.queue(self);
            }
            ConnectionState::Closed => self.end(self.reason, io),
            _ => {}
        }
    }

    /// The peer has sent FIN.
    pub(crate) fn peer_ended(&mut self, io: &mut Io) {
        if let Some(failure) = self.failure() {
            return self.end(failure, io);
        }
        let before = self.state;
        self.state = before.peer_ended();
        match self.state {
            ConnectionState::PeerEnded | ConnectionState::FlushingLast
                if before.delivers_input() =>
            {
                self.owed.end = true;
                self.report(io);
            }
            ConnectionState::Closed => self.end(self.reason, io),
            _ => {}
        }
    }

    /// Sending has failed. What had arrived before is still read; then the connection ends.
    pub(crate) fn send_failed(&mut self, failure: EndReason, io: &mut Io) {
        self.output.clear();
        if !self.state.delivers_input() {
            return self.end(failure, io);
        }
        self.extras().failure = Some(failure);
        self.ending = true;
        self.intake.broken = true;
        io.queue(self);
    }

    /// The host has begun a graceful close, or the connection has ended.
    fn is_closing(&self) -> bool {
        self.deadline().is_some() || self.listed.dead
    }

    fn give_up_after(&mut self, time: Duration, io: &mut Io) {
        let at = io.now + time;
        self.extras().deadline = Some(at);
        self.arm(at, io);
    }

    /// Has itself looked at by then. An earlier look will do: it arms the next one.
    fn arm(&mut self, at: Moment, io: &mut Io) {
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at);
            io.timers.arm(at, self.key);
        }
    }

    /// The host is to be told when nothing has come or gone for so long; 0 is never.
    pub(crate) fn tell_when_idle(&mut self, millis: u32, io: &mut Io) {
        self.idle = match millis {
            0 => Idle::Never,
            _ => Idle::After(millis),
        };
        if let Some(at) = self.idle_at() {
            self.arm(at, io);
        }
    }

    fn idle_at(&self) -> Option<Moment> {
        match self.idle {
            Idle::After(millis) if !self.is_closing() => {
                Some(self.active_at + Duration::from_millis(millis.into()))
            }
            _ => None,
        }
    }

    /// Ends a connection whose input is not read any more, if the kernel holds an error for it.
    pub(crate) fn end_on_error(&mut self, io: &mut Io) {
        if let Ok(Some(error)) = self.socket.take_error() {
            self.read_failed(errno_of(&error), io);
        }
    }

    /// An entry among the timers is due.
    pub(crate) fn look_at_time(&mut self, io: &mut Io) {
        self.armed = None;
        if self.deadline().is_some_and(|at| at <= io.now) {
            return self.deadline_passed(io);
        }
        if let Idle::After(millis) = self.idle
            && self.idle_at().is_some_and(|at| at <= io.now)
        {
            self.idle = Idle::Owed(millis);
            self.report(io);
        }
        let next = [self.deadline(), self.idle_at()]
            .into_iter()
            .flatten()
            .min();
        if let Some(at) = next {
            self.arm(at, io);
        }
    }

    /// The time of a graceful close is over.
    fn deadline_passed(&mut self, io: &mut Io) {
        match self.state {
            ConnectionState::Lingering => self.end(EndReason::Local, io),
            ConnectionState::Flushing | ConnectionState::FlushingLast => {
                self.resets = true;
                self.end(EndReason::Timeout, io);
            }
            _ => {}
        }
    }

    /// Ends the connection. The row and the descriptor are freed after the batch.
    pub(crate) fn end(&mut self, reason: EndReason, io: &mut Io) {
        if self.listed.dead {
            return;
        }
        self.listed.dead = true;
        self.state = ConnectionState::Closed;
        self.reason = reason;
        if let Some(extras) = &mut self.extras {
            extras.deadline = None;
        }
        self.output.clear();
        self.intake.close();
        io.dead.push(self.key);
    }

    /// The host is to be told that the kernel has taken what it asked about.
    pub(crate) fn owe_drained(&mut self, io: &mut Io) {
        self.owed.drained = true;
        self.report(io);
    }

    /// Reads the socket in the next turn, and tells the host when nothing is found.
    pub(crate) fn probe(&mut self, io: &mut Io) {
        self.probed = true;
        io.queue(self);
    }

    /// The host is to be told that a read has found nothing, if it has asked.
    pub(crate) fn found_nothing(&mut self, io: &mut Io) {
        if std::mem::take(&mut self.probed) {
            self.owed.quiet = true;
            self.report(io);
        }
    }

    /// Tells the host what it is owed, as far as there is room. Whether all was told.
    pub(crate) fn report(&mut self, io: &mut Io) -> bool {
        let (id, sent) = (self.key.id(), self.sent);
        if self.owed.end && io.has_room(0) {
            self.owed.end = false;
            io.post(&Event::End { id, sent });
        }
        if self.owed.drained && io.has_room(0) {
            self.owed.drained = false;
            io.post(&Event::Drained { id, sent });
        }
        if self.owed.quiet && io.has_room(0) {
            self.owed.quiet = false;
            io.post(&Event::Quiet { id, sent });
        }
        if let Idle::Owed(millis) = self.idle
            && io.has_room(0)
        {
            self.idle = Idle::Never;
            io.post(&Event::Idle { id, millis, sent });
        }
        let Owed {
            end,
            drained,
            quiet,
        } = self.owed;
        let told = !(end || drained || quiet || matches!(self.idle, Idle::Owed(_)));
        // Once it is closed it stands among the dead, who are asked again as well.
        if !told && self.state != ConnectionState::Closed && !self.listed.owing {
            self.listed.owing = true;
            io.owing.push(self.key);
        }
        told
    }

    /// Lets go of the socket. Dropping it closes the descriptor.
    pub(crate) fn retire(&mut self, io: &Io) {
        self.socket.deregister(&io.registry);
        if self.resets {
            // A shutdown would send FIN first.
            self.socket.reset_on_close();
        } else {
            self.socket.shutdown_both();
        }
    }

    /// Tells the host of the end, if there is room.
    pub(crate) fn report_closed(&mut self, io: &mut Io) -> bool {
        let told = self.report(io) && io.has_room(0);
        if told {
            io.post(&Event::Closed {
                id: self.key.id(),
                reason: self.reason,
                sent: self.sent,
            });
        }
        told
    }
}

#[cfg(all(test, not(loom), not(feature = "faults")))]
mod tests {
    use super::*;

    // Not so where sockets also carry the faults that befall them.
    #[test]
    fn an_idle_connection_is_small() {
        // Sockets of mio remember whose they are in builds that check assertions.
        let checks = if cfg!(debug_assertions) { 16 } else { 0 };
        assert!(size_of::<Connection>() <= 152 + checks);
    }
}
