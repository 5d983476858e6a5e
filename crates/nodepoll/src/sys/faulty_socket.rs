//! The sockets of `socket.rs` under a layer that injects [`Faults`](crate::faults::Faults), by the
//! same names. It stands in their place if the feature `faults` is on.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::path::Path;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::plain_socket::{self, Failed, stream_interest};
use crate::address::Address;
use crate::faults::{Call, Cut, Fault, Injector, Route, Verdict};

/// A socket, some of whose calls fail or do less than they could.
pub(crate) struct Socket {
    plain: plain_socket::Socket,
    /// `None` for a socket that has no faults. In a box, so that rows keep about their size.
    layer: Option<Box<Layer>>,
}

impl Socket {
    pub(crate) fn connect_tcp(to: SocketAddr, from: Option<SocketAddr>) -> Result<Self, Failed> {
        let plain = plain_socket::Socket::connect_tcp(to, from)?;
        // The kernel knows it from the connect on.
        let route = plain.local_address().ok().and_then(route_from);
        Ok(Self::dialed(plain, route))
    }

    pub(crate) fn connect_path(path: &Path) -> Result<Self, Failed> {
        let plain = plain_socket::Socket::connect_path(path)?;
        Ok(Self::dialed(plain, Some(Route::To(path.into()))))
    }

    pub(crate) fn receive(&self, space: &mut [u8]) -> io::Result<usize> {
        let Some(layer) = &self.layer else {
            return self.plain.receive(space);
        };
        match layer.injector.decide(Call::Read) {
            Verdict::Shorten(bytes) if bytes < space.len() => {
                let count = self.plain.receive(&mut space[..bytes])?;
                if count == bytes {
                    layer.injector.shortened(Fault::ShortRead);
                    // Of the kernel a short read says that an edge tells of what comes next.
                    layer.announce(self.descriptor());
                }
                Ok(count)
            }
            Verdict::Pass | Verdict::Shorten(_) => {
                let result = self.plain.receive(space);
                let is_empty = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
                if layer.injector.is_cut() && result.as_ref().is_err_and(is_empty) {
                    return Err(error_of(Fault::Reset));
                }
                result
            }
            Verdict::Fail(fault) => Err(self.fail(layer, fault)),
        }
    }

    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(layer) = &self.layer else {
            return self.plain.send(slices);
        };
        if layer.injector.is_cut() {
            return Err(io::Error::from_raw_os_error(libc::EPIPE));
        }
        match layer.injector.decide(Call::Write) {
            Verdict::Pass => self.plain.send(slices),
            Verdict::Shorten(bytes) => {
                let count = self.plain.send(&first_bytes(slices, bytes))?;
                let whole: usize = slices.iter().map(|slice| slice.len()).sum();
                if count < whole {
                    // No edge follows: the socket would have taken more.
                    layer.injector.shortened(Fault::ShortWrite);
                }
                Ok(count)
            }
            Verdict::Fail(fault) => Err(self.fail(layer, fault)),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if let Some(layer) = &self.layer
            && let Verdict::Fail(fault) = layer.injector.decide(Call::Register)
        {
            return Err(self.fail(layer, fault));
        }
        if let Some(layer) = &mut self.layer {
            layer.registered(registry, token, stream_interest())?;
            let socket = match &self.plain {
                plain_socket::Socket::Tcp(stream) => SockRef::from(stream),
                plain_socket::Socket::Unix(stream) => SockRef::from(stream),
            };
            layer.injector.set_buffers(&socket)?;
        }
        self.plain.register(registry, token)
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match &self.layer {
            Some(layer) if layer.injector.is_cut() => {
                Err(io::Error::from_raw_os_error(libc::ENOTCONN))
            }
            _ => self.plain.shutdown_write(),
        }
    }

    pub(crate) fn shutdown_both(&self) {
        match &self.layer {
            // Who resets a connection from between its ends, tells one of them or both.
            Some(layer) if layer.injector.is_cut() && layer.injector.toss() => {
                self.plain.reset_on_close();
            }
            _ => self.plain.shutdown_both(),
        }
    }

    /// Without faults if nobody could tell which connection they happen to.
    fn dialed(plain: plain_socket::Socket, route: Option<Route>) -> Self {
        let parts = Injector::current().zip(route);
        let layer = parts.map(|(injector, route)| Layer::new(injector, route, true));
        Self { plain, layer }
    }

    fn fail(&self, layer: &Layer, fault: Fault) -> io::Error {
        match fault {
            Fault::Again => layer.announce(self.descriptor()),
            Fault::Reset | Fault::Unwatched => layer.injector.cut(layer.cut.clone()),
            _ => {}
        }
        error_of(fault)
    }

    fn descriptor(&self) -> i32 {
        match &self.plain {
            plain_socket::Socket::Tcp(stream) => stream.as_raw_fd(),
            plain_socket::Socket::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Deref for Socket {
    type Target = plain_socket::Socket;

    fn deref(&self) -> &Self::Target {
        &self.plain
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.plain
    }
}

/// A listening socket, some of whose calls fail. What it accepts has faults from the same source.
pub(crate) struct ListeningSocket {
    plain: plain_socket::ListeningSocket,
    layer: Option<Box<Layer>>,
}

impl ListeningSocket {
    pub(crate) fn bind_tcp(
        address: SocketAddr,
        backlog: i32,
        ipv6_only: bool,
        no_delay: bool,
    ) -> Result<Self, Failed> {
        let bound = plain_socket::ListeningSocket::bind_tcp(address, backlog, ipv6_only, no_delay);
        let bound = bound?;
        let route = route_from(bound.address());
        Ok(Self::bound(bound, route))
    }

    pub(crate) fn bind_path(path: &Path, backlog: i32) -> Result<Self, Failed> {
        let bound = plain_socket::ListeningSocket::bind_path(path, backlog)?;
        Ok(Self::bound(bound, Some(Route::To(path.into()))))
    }

    pub(crate) fn accept(&self) -> io::Result<(Socket, Address, Address)> {
        if let Some(layer) = &self.layer
            && let Verdict::Fail(fault) = layer.injector.decide(Call::Accept)
        {
            if fault == Fault::Again {
                layer.announce(self.descriptor());
            }
            return Err(error_of(fault));
        }
        let (plain, remote, local) = self.plain.accept()?;
        let layer = self.layer.as_ref().map(|layer| {
            let route = route_from(remote).unwrap_or_else(|| layer.cut.route.clone());
            Layer::new(layer.injector.another(), route, false)
        });
        Ok((Socket { plain, layer }, remote, local))
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if let Some(layer) = &mut self.layer {
            layer.registered(registry, token, Interest::READABLE)?;
        }
        self.plain.register(registry, token)
    }

    /// `route` is that of connections which have no address of their own.
    fn bound(plain: plain_socket::ListeningSocket, route: Option<Route>) -> Self {
        let parts = Injector::current().zip(route);
        let layer = parts.map(|(injector, route)| Layer::new(injector, route, false));
        Self { plain, layer }
    }

    fn descriptor(&self) -> i32 {
        match &self.plain {
            plain_socket::ListeningSocket::Tcp { listener, .. } => listener.as_raw_fd(),
            plain_socket::ListeningSocket::Unix { listener, .. } => listener.as_raw_fd(),
        }
    }
}

impl Deref for ListeningSocket {
    type Target = plain_socket::ListeningSocket;

    fn deref(&self) -> &Self::Target {
        &self.plain
    }
}

impl DerefMut for ListeningSocket {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.plain
    }
}

/// What is between a driver and a socket.
struct Layer {
    injector: Injector,
    /// What is told when it is cut off: the kernel forgets addresses when a connection ends.
    cut: Cut,
    registered: Option<(Registry, Token, Interest)>,
}

impl Layer {
    fn new(injector: Injector, route: Route, is_dialer: bool) -> Box<Self> {
        Box::new(Self {
            injector,
            cut: Cut { route, is_dialer },
            registered: None,
        })
    }

    fn registered(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.registered = Some((registry.try_clone()?, token, interest));
        Ok(())
    }

    /// Has the kernel announce in a later turn what the socket is ready for.
    ///
    /// After `EAGAIN` a driver waits for an edge, and none comes to a socket that was ready all the
    /// time. When it is registered anew, the kernel looks at it anew. So drivers need no code for
    /// injected faults, and one that sleeps is woken.
    fn announce(&self, descriptor: i32) {
        let (registry, token, interest) = self
            .registered
            .as_ref()
            .expect("a driver registers a socket before it uses it");
        registry
            .reregister(&mut SourceFd(&descriptor), *token, *interest)
            .expect("a socket in use is registered");
    }
}

/// How a connection is told from others that was dialled from `address`.
fn route_from(address: Address) -> Option<Route> {
    match address {
        Address::Inet(address) => Some(Route::From(address)),
        Address::Unix => None,
    }
}

fn error_of(fault: Fault) -> io::Error {
    io::Error::from_raw_os_error(match fault {
        Fault::Interrupted => libc::EINTR,
        Fault::Reset => libc::ECONNRESET,
        Fault::Exhausted => libc::EMFILE,
        Fault::NoMemory => libc::ENOBUFS,
        Fault::Aborted => libc::ECONNABORTED,
        Fault::Unwatched => libc::ENOSPC,
        Fault::Again | Fault::ShortRead | Fault::ShortWrite => libc::EAGAIN,
    })
}

/// The first `bytes` bytes of `slices`.
fn first_bytes<'a>(slices: &'a [IoSlice<'_>], mut bytes: usize) -> Vec<IoSlice<'a>> {
    let mut first = Vec::new();
    for slice in slices {
        let len = slice.len().min(bytes);
        if len > 0 {
            first.push(IoSlice::new(&slice[..len]));
        }
        bytes -= len;
    }
    first
}
