use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nodepoll::faults::Route;
use nodepoll::{Address, Endpoint, ListenOptions, RustHost};

/// Where connections come in: one listener for all of TCP, one for each connection of a unix
/// socket, as the end that is accepted there has no name to know it by.
pub(crate) struct Door {
    pub(crate) number: u32,
    pub(crate) lane: usize,
    pub(crate) endpoint: Endpoint,
    /// It was asked to close.
    pub(crate) is_shut: bool,
    /// How many connections the listener says to have accepted in all, once it is closed.
    pub(crate) accepted: Option<u32>,
}

impl Door {
    /// Listens at `endpoint`.
    pub(crate) fn open(host: &RustHost, number: u32, endpoint: Endpoint) -> Self {
        let options = ListenOptions {
            listener: number,
            endpoint,
            backlog: 1024,
            ipv6_only: false,
            reuse_port: false,
        };
        let (lane, address) = host.listen(&options).unwrap();
        let endpoint = match address {
            Address::Inet(address) => Endpoint::Inet(address),
            Address::Unix => options.endpoint,
        };
        Self {
            number,
            lane,
            endpoint,
            is_shut: false,
            accepted: None,
        }
    }

    pub(crate) fn tcp() -> Endpoint {
        Endpoint::Inet((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// A path that nobody else has: of a file, or a name of the kernel's own.
    pub(crate) fn unix() -> Endpoint {
        static PATHS: AtomicU32 = AtomicU32::new(0);
        let number = PATHS.fetch_add(1, Ordering::Relaxed);
        let name = format!("nodepoll-faults-{}-{number}", std::process::id());
        Endpoint::Path(if number.is_multiple_of(2) {
            std::env::temp_dir().join(name)
        } else {
            PathBuf::from(format!("\0{name}"))
        })
    }

    /// Where it is dialled, and from where to dial pair `index` there.
    pub(crate) fn route(&self, index: usize) -> (Endpoint, Option<SocketAddr>) {
        let is_tcp = matches!(self.endpoint, Endpoint::Inet(_));
        (self.endpoint.clone(), is_tcp.then(|| dialer(index)))
    }

    /// Whether a connection that came about like this is pair `index`, if that one comes in here.
    pub(crate) fn has(&self, route: &Route, index: usize) -> bool {
        match (route, &self.endpoint) {
            (Route::From(address), Endpoint::Inet(_)) => address.ip() == dialer(index).ip(),
            (Route::To(to), Endpoint::Path(path)) => **to == *path,
            _ => false,
        }
    }

    /// The file that is there as long as somebody listens.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.endpoint {
            Endpoint::Path(path) if path.is_absolute() => Some(path),
            _ => None,
        }
    }
}

/// Where a pair is dialled from. No other one has this address.
fn dialer(index: usize) -> SocketAddr {
    let host = u8::try_from(index + 1).expect("there are few pairs");
    (Ipv4Addr::new(127, 0, 1, host), 0).into()
}
