use std::io;

use crate::address::Address;
use crate::error::{SystemError, errno_of};
use crate::io::Io;
use crate::key::Key;
use crate::options::{DialOptions, Endpoint};
use crate::sys::socket::Socket;

/// A connect that is under way, in the driver's table.
pub(crate) struct Dialing {
    pub(crate) number: u32,
    pub(crate) socket: Socket,
    /// Why it has failed, until the host has been told.
    pub(crate) failure: Option<i32>,
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
            socket.set_no_delay();
        }
        Ok(Self {
            number: options.dial,
            socket,
            failure: None,
        })
    }

    pub(crate) fn register(&mut self, io: &Io, key: Key) -> io::Result<()> {
        let token = key.token();
        self.socket.register(&io.registry, token)
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
