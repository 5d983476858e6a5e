use std::net::SocketAddr;
use std::path::PathBuf;

use crate::limits::RING_RECORDS;

/// Who turns the drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// The host while there is little to do, else a thread for each driver.
    Auto,
    /// A thread for each driver.
    Thread,
    /// The host, on its own thread.
    Inline,
}

/// What a runtime is made of.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Poller threads, each with a lane of its own.
    pub pollers: usize,
    /// Records in each of a lane's two rings: a power of two.
    pub ring_records: u32,
    /// Who turns the drivers.
    pub hosting: Hosting,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            pollers: 1,
            ring_records: RING_RECORDS,
            hosting: Hosting::Thread,
        }
    }
}

/// Where to listen, or whom to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Inet(SocketAddr),
    /// The path of a unix socket.
    Path(PathBuf),
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The number under which the host knows this listener. Unique in its runtime.
    pub listener: u32,
    /// Where.
    pub endpoint: Endpoint,
    /// Length of the kernel's queue of connections nobody has accepted yet.
    pub backlog: i32,
    /// Whether an IPv6 wildcard address leaves IPv4 alone.
    pub ipv6_only: bool,
    /// Whether connections send small segments at once.
    pub no_delay: bool,
}

/// How to dial one address.
#[derive(Clone, Debug)]
pub struct DialOptions {
    /// The number under which the host knows this dial. Unique in its runtime.
    pub dial: u32,
    /// Whom.
    pub endpoint: Endpoint,
    /// The address to dial from.
    pub local: Option<SocketAddr>,
    /// Whether the connection sends small segments at once.
    pub no_delay: bool,
    /// Bytes that the connection may receive at first.
    pub window: u32,
}
