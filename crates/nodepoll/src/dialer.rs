use std::io;

use crate::address::Address;
use crate::connection::Connection;
use crate::driver::{Driver, Entry};
use crate::error::{SystemError, errno_of};
use crate::event::Event;
use crate::io::Io;
use crate::key::Key;
use crate::options::{DialOptions, Endpoint};
use crate::sys::socket::Socket;

/// A connect that is under way, in the driver's table.
pub(crate) struct Dialing {
    pub(crate) number: u32,
    pub(crate) socket: Socket,
    /// Bytes that the connection may receive at first.
    window: u32,
    /// Why it has failed, until the host has been told.
    pub(crate) failure: Option<i32>,
    /// What has become of it waits for room in the event ring.
    pub(crate) stalled: bool,
}

/// What the kernel says of a connect.
pub(crate) enum Connecting {
    Pending,
    Connected { remote: Address, local: Address },
    Failed { errno: i32 },
}

impl Dialing {
    /// Begins to connect, without a driver.
    pub(crate) fn begin(options: &DialOptions) -> Result<Self, SystemError> {
        let socket = match &options.endpoint {
            Endpoint::Inet(address) => Socket::connect_tcp(*address, options.local),
            Endpoint::Path(path) => Socket::connect_path(path),
        };
        let socket = socket.map_err(|(error, syscall)| SystemError::new(&error, syscall))?;
        if options.no_delay {
            socket.set_no_delay(true);
        }
        if options.keep_alive.is_some() {
            socket.set_keep_alive(options.keep_alive);
        }
        Ok(Self {
            number: options.dial,
            socket,
            window: options.window,
            failure: None,
            stalled: false,
        })
    }

    pub(crate) fn register(&mut self, io: &Io, key: Key) -> io::Result<()> {
        let token = key.token();
        self.socket.register(&io.registry, token)
    }

    /// Whether there is no room to tell what has become of it. It is asked again when there is.
    fn stall(&mut self, io: &mut Io, key: Key) -> bool {
        let has_room = io.has_room(0);
        if !has_room && !self.stalled {
            self.stalled = true;
            io.stall_key(key);
        }
        !has_room
    }

    /// Asks how far the connect is. Readiness alone says nothing: failures and spurious wake-ups
    /// look the same. The kernel reports an error once; it is looked for first and kept.
    pub(crate) fn progress(&self) -> Connecting {
        if let Some(errno) = self.failure {
            return Connecting::Failed { errno };
        }
        match self.socket.take_error() {
            Ok(Some(error)) | Err(error) => {
                return Connecting::Failed {
                    errno: errno_of(&error),
                };
            }
            Ok(None) => {}
        }
        match (self.socket.remote_address(), self.socket.local_address()) {
            (Ok(remote), Ok(local)) if remote == local && remote != Address::Unix => {
                // A dial of a free local port can pick that very port as its source.
                Connecting::Failed {
                    errno: connection_refused(),
                }
            }
            (Ok(remote), Ok(local)) => Connecting::Connected { remote, local },
            _ => Connecting::Pending,
        }
    }
}

impl Driver {
    pub(crate) fn add_dial(&mut self, mut dialing: Box<Dialing>) {
        self.io.counters.dials += 1;
        let number = dialing.number;
        let io = &mut self.io;
        let mut failed = None;
        let key = self.entries.insert_with_key(|key| {
            failed = dialing.register(io, key).err();
            Entry::Dialing(Some(dialing))
        });
        self.dials.insert(number, key);
        if let Some(error) = failed {
            self.fail_dial(key, errno_of(&error));
        } else {
            // A connect to a unix socket is done at once.
            self.progress_dial(key);
        }
    }

    pub(crate) fn progress_dial(&mut self, key: Key) {
        let Some(Entry::Dialing(Some(dialing))) = self.entries.get(key) else {
            return;
        };
        match dialing.progress() {
            Connecting::Pending => {}
            Connecting::Failed { errno } => self.fail_dial(key, errno),
            Connecting::Connected { remote, local } => self.finish_dial(key, remote, local),
        }
    }

    pub(crate) fn finish_dial(&mut self, key: Key, remote: Address, local: Address) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let Entry::Dialing(dialing) = entry else {
            return;
        };
        let Some(dialing) = dialing.take_if(|dialing| !dialing.stall(&mut self.io, key)) else {
            return;
        };
        // Same row, same generation, same token: the registration goes on to serve.
        let mut connection =
            Connection::new(key, dialing.socket, dialing.window, self.io.now, None);
        // The edge that told of the connect may have told of data as well.
        self.io.queue(&mut connection);
        *entry = Entry::Connection(connection);
        self.dials.remove(&dialing.number);
        let (id, dial) = (key.id(), dialing.number);
        self.io.post(&Event::Connected {
            id,
            dial,
            remote,
            local,
        });
    }

    pub(crate) fn fail_dial(&mut self, key: Key, errno: i32) {
        let Some(Entry::Dialing(Some(dialing))) = self.entries.get_mut(key) else {
            return;
        };
        dialing.failure = Some(errno);
        if dialing.stall(&mut self.io, key) {
            return;
        }
        // Its number is forgotten with the first report, so that there is no second one.
        if self.dials.remove(&dialing.number).is_some() {
            self.io.post(&Event::DialFailed {
                dial: dialing.number,
                errno,
            });
            self.io.dead.push(key);
        }
    }
}

pub(crate) fn canceled() -> i32 {
    #[cfg(unix)]
    return libc::ECANCELED;
    #[cfg(not(unix))]
    995 // WSA_OPERATION_ABORTED
}

fn connection_refused() -> i32 {
    #[cfg(unix)]
    return libc::ECONNREFUSED;
    #[cfg(not(unix))]
    10061 // WSAECONNREFUSED
}
