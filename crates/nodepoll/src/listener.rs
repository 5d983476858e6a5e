use std::io::{self, ErrorKind};
use std::sync::Arc;

use crate::address::Address;
use crate::error::{SystemError, errno_of};
use crate::event::Event;
use crate::gate::{Gate, Place};
use crate::io::Io;
use crate::key::Key;
use crate::limits::{ACCEPT_BATCH, ACCEPT_LAST_TIME, ACCEPT_RETRY, EVENTS_RESERVED};
use crate::moment::Moment;
use crate::options::{Endpoint, KeepAlive, ListenOptions};
use crate::sys::socket::{ListeningSocket, Socket};

/// A listening socket in the driver's table.
pub(crate) struct Listener {
    pub(crate) number: u32,
    socket: ListeningSocket,
    no_delay: bool,
    keep_alive: Option<KeepAlive>,
    /// The limit to the connections that are open.
    gate: Option<Arc<Gate>>,
    /// Bytes that each connection may receive at first.
    pub(crate) window: u32,
    /// Connections accepted so far. The host has been told of all of them before it believes that
    /// the listener is closed.
    accepted: u32,
    /// Accepting has failed for want of descriptors or memory, the host has been told, and some of
    /// those who waited then may wait still.
    exhausted: bool,
    /// What the host has not been told of yet.
    owed_error: Option<i32>,
    /// When to try again.
    pub(crate) retry_at: Option<Moment>,
    /// Until when, if it is to be closed.
    give_up_at: Option<Moment>,
    phase: Phase,
    pub(crate) queued: bool,
}

/// Where a listener is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody serves it yet: connections wait in the kernel's queue.
    Waiting,
    /// Connections are accepted.
    Accepting,
    /// Connections are accepted until the kernel's queue is empty.
    Draining,
    /// It is to be closed.
    Closing,
}

/// What a round of accepting has come to.
pub(crate) enum Accepting {
    /// The kernel's queue is empty; an edge tells of the next one.
    Empty,
    /// There may be more, and no edge will tell.
    More,
    /// The event ring is full.
    NoRoom,
    /// There may be no more connections: it is told when there may.
    Full,
    /// Descriptors or memory have run out: to be tried again later.
    Exhausted,
}

/// A connection that has just been accepted.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) place: Option<Place>,
    pub(crate) remote: Address,
    pub(crate) local: Address,
}

impl Listener {
    /// Binds and listens, without a driver.
    pub(crate) fn bind(options: &ListenOptions) -> Result<Self, SystemError> {
        let ListenOptions {
            listener,
            backlog,
            ipv6_only,
            reuse_port,
            ref endpoint,
        } = *options;
        let socket = match endpoint {
            Endpoint::Inet(address) => {
                ListeningSocket::bind_tcp(*address, backlog, ipv6_only, reuse_port)
            }
            Endpoint::Path(path) => ListeningSocket::bind_path(path, backlog),
        };
        Ok(Self {
            number: listener,
            socket: socket.map_err(|(error, syscall)| SystemError::new(&error, syscall))?,
            no_delay: true,
            keep_alive: None,
            gate: None,
            window: 0,
            accepted: 0,
            exhausted: false,
            owed_error: None,
            retry_at: None,
            give_up_at: None,
            phase: Phase::Waiting,
            queued: false,
        })
    }

    /// Begins to accept connections that may receive `window` bytes at first.
    pub(crate) fn begin(&mut self, window: u32) {
        if self.phase == Phase::Waiting {
            self.window = window;
            self.phase = Phase::Accepting;
        }
    }

    /// How connections are to be treated, if not as usual.
    pub(crate) fn treat(
        &mut self,
        no_delay: bool,
        keep_alive: Option<KeepAlive>,
        gate: Option<Arc<Gate>>,
    ) {
        self.no_delay = no_delay;
        self.keep_alive = keep_alive;
        self.gate = gate;
    }

    /// Begins to close. Connections that the kernel has accepted are taken first.
    pub(crate) fn close(&mut self) {
        self.phase = match self.phase {
            Phase::Accepting | Phase::Draining => Phase::Draining,
            Phase::Waiting | Phase::Closing => Phase::Closing,
        };
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Closing)
    }

    pub(crate) fn address(&self) -> Address {
        self.socket.address()
    }

    pub(crate) fn register(&mut self, io: &Io, key: Key) -> io::Result<()> {
        self.socket.register(&io.registry, key.token())
    }

    pub(crate) fn retire(&mut self, io: &Io) {
        self.socket.retire(&io.registry);
    }

    /// Accepts one bounded batch into `batch`.
    pub(crate) fn accept(&mut self, io: &mut Io, batch: &mut Vec<Accepted>) -> Accepting {
        if matches!(self.phase, Phase::Waiting | Phase::Closing) {
            return Accepting::Empty;
        }
        for _ in 0..ACCEPT_BATCH {
            let posting = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            if !io.has_room(EVENTS_RESERVED + posting) {
                return Accepting::NoRoom;
            }
            let mut place = None;
            if let Some(gate) = &self.gate {
                place = gate.enter(&io.seam, self.number);
                if place.is_none() {
                    return Accepting::Full;
                }
            }
            match self.socket.accept() {
                Ok((socket, remote, local)) => {
                    self.prepare(&socket);
                    self.accepted = self.accepted.wrapping_add(1);
                    batch.push(Accepted {
                        socket,
                        place,
                        remote,
                        local,
                    });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Only now: with each descriptor that becomes free one peer is let in, and the
                    // next one finds the same lack.
                    self.exhausted = false;
                    return Accepting::Empty;
                }
                Err(error) if is_one_connections(&error) => {}
                Err(error) => {
                    if !self.exhausted {
                        self.owed_error = Some(errno_of(&error));
                    }
                    self.exhausted = true;
                    return Accepting::Exhausted;
                }
            }
        }
        Accepting::More
    }

    /// Sets the options that a connection has not got from its listener.
    fn prepare(&self, socket: &Socket) {
        if self.no_delay != crate::sys::ACCEPTED_INHERIT_OPTIONS {
            socket.set_no_delay(self.no_delay);
        }
        if self.keep_alive.is_some() {
            socket.set_keep_alive(self.keep_alive);
        }
    }

    /// Arranges the next try after [`Accepting::Exhausted`], if there is to be one.
    pub(crate) fn try_later(&mut self, io: &mut Io, key: Key) -> bool {
        if self.is_closing() {
            let until = self.give_up_at.get_or_insert(io.now + ACCEPT_LAST_TIME);
            if io.now >= *until {
                return false;
            }
        }
        let at = io.now + ACCEPT_RETRY;
        self.retry_at = Some(at);
        io.timers.arm(at, key);
        true
    }

    /// Tells the host of the first error in a row, as soon as there is room.
    pub(crate) fn report_error(&mut self, io: &mut Io) {
        if let Some(errno) = self.owed_error
            && io.has_room(0)
        {
            self.owed_error = None;
            let listener = self.number;
            io.post(&Event::ListenerError { listener, errno });
        }
    }

    /// Tells the host that the listener is closed, if there is room.
    pub(crate) fn report_closed(&mut self, io: &mut Io) -> bool {
        self.report_error(io);
        let told = self.owed_error.is_none() && io.has_room(0);
        if told {
            let event = Event::ListenerClosed {
                listener: self.number,
                accepted: self.accepted,
            };
            io.post(&event);
        }
        told
    }
}

/// Whether an error of accept belongs to a connection that has died in the queue, or to the call,
/// so that accepting just goes on.
fn is_one_connections(error: &io::Error) -> bool {
    #[cfg(unix)]
    if matches!(
        error.raw_os_error(),
        Some(
            libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::ETIMEDOUT
        )
    ) {
        return true;
    }
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What accept(2) says of one connection, and of nothing else.
    const OF_ONE: [i32; 12] = [
        libc::EINTR,
        libc::ECONNABORTED,
        libc::ECONNRESET,
        libc::EPROTO,
        libc::ENETDOWN,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::EOPNOTSUPP,
        libc::ENETUNREACH,
        libc::EPERM,
        libc::ETIMEDOUT,
    ];

    #[test]
    fn h98_the_error_of_one_connection_is_none_of_its_listener() {
        for errno in 1..=133 {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(
                is_one_connections(&error),
                OF_ONE.contains(&errno),
                "{error}"
            );
        }
        // For want of these it is tried again later, and the host is told.
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(!is_one_connections(&io::Error::from_raw_os_error(errno)));
        }
    }
}
