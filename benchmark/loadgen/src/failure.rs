//! What can go wrong in a run. The first failure ends it.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::payload::Mismatch;

#[derive(Debug)]
pub(crate) enum Failure {
    Connect {
        target: String,
        cause: io::Error,
    },
    Corrupt {
        connection: u64,
        mismatch: Mismatch,
    },
    /// More came back than was sent.
    Surplus {
        connection: u64,
        position: u64,
    },
    ClosedEarly {
        connection: u64,
        position: u64,
    },
    /// Replies, or the end of connections after our own, did not come.
    Stalled {
        missing: &'static str,
        connections: usize,
        waited: Duration,
    },
    Io {
        action: &'static str,
        cause: io::Error,
    },
}

impl Failure {
    /// For `map_err`: names what was being done.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, cause }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { target, cause } => write!(f, "cannot connect to {target}: {cause}"),
            Self::Corrupt {
                connection,
                mismatch,
            } => write!(
                f,
                "corrupt byte: connection {connection}, position {}: \
                 expected 0x{:02x}, got 0x{:02x}",
                mismatch.position, mismatch.expected, mismatch.actual
            ),
            Self::Surplus {
                connection,
                position,
            } => write!(
                f,
                "surplus bytes: connection {connection} got more than the {position} it sent"
            ),
            Self::ClosedEarly {
                connection,
                position,
            } => write!(
                f,
                "closed early: connection {connection} ended after {position} bytes"
            ),
            Self::Stalled {
                missing,
                connections,
                waited,
            } => write!(
                f,
                "stalled: no {missing} on {connections} connections after {} s",
                waited.as_secs()
            ),
            Self::Io { action, cause } => write!(f, "cannot {action}: {cause}"),
        }
    }
}
