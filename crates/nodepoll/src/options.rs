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
    /// As `Auto`, but the drivers change hands as this seed says, whatever there is to do: for
    /// tests.
    Restless(u64),
}

impl Hosting {
    /// Whether the host is the first to turn a driver.
    #[must_use]
    pub fn begins_with_host(self) -> bool {
        self != Self::Thread
    }

    /// The same for one of several drivers.
    pub(crate) fn of_lane(self, lane: usize) -> Self {
        match self {
            Self::Restless(seed) => Self::Restless(seed.wrapping_add(lane as u64)),
            other => other,
        }
    }

    /// Whether drivers change hands between host and thread.
    #[must_use]
    pub fn switches(self) -> bool {
        matches!(self, Self::Auto | Self::Restless(_))
    }
}

/// How connections are spread over the drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalance {
    /// Each driver in turn.
    RoundRobin,
    /// Any driver.
    Random,
    /// The driver with the fewest connections and dials.
    LeastConnections,
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
    /// How connections are spread over them.
    pub balance: LoadBalance,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            pollers: 1,
            ring_records: RING_RECORDS,
            hosting: Hosting::Thread,
            balance: LoadBalance::RoundRobin,
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
    /// Whether other sockets may listen at the same address; the system spreads peers over them.
    pub reuse_port: bool,
}

/// Probes of a silent connection by the system (RFC 1122, 4.2.3.6). Fractions of a second are not
/// known everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe.
    pub idle_seconds: u32,
    /// Time between probes; 0 leaves it to the system.
    pub interval_seconds: u32,
    /// Probes without an answer that end the connection; 0 leaves it to the system.
    pub count: u32,
}

/// What is special about the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// Whether small segments are sent at once.
    pub no_delay: bool,
    /// Whether and how silent peers are probed.
    pub keep_alive: Option<KeepAlive>,
    /// A limit to the connections that are open, and the number by which several listeners share
    /// it.
    pub limit: Option<(u32, u32)>,
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
    /// Whether and how a silent peer is probed.
    pub keep_alive: Option<KeepAlive>,
    /// Bytes that the connection may receive at first.
    pub window: u32,
}
