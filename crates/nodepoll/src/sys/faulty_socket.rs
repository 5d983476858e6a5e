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
use crate::faults::{Call, Fault, Injector, Reset, Verdict};

/// A socket, some of whose calls fail or do less than they could.
pub(crate) struct Socket {
    plain: plain_socket::Socket,
    /// `None` for a socket that has no faults. In a box, so that rows keep about their size.
    layer: Option<Box<Layer>>,
}

impl Socket {
    pub(crate) fn connect_tcp(to: SocketAddr, from: Option<SocketAddr>) -> Result<Self, Failed> {
        plain_socket::Socket::connect_tcp(to, from).map(Self::dialed)
    }

    pub(crate) fn connect_path(path: &Path) -> Result<Self, Failed> {
        plain_socket::Socket::connect_path(path).map(Self::dialed)
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
                if layer.injector.is_reset() && result.as_ref().is_err_and(is_empty) {
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
        if layer.injector.is_reset() {
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
        if let Some(layer) = &mut self.layer {
            layer.registered(registry, token, stream_interest())?;
            if let plain_socket::Socket::Tcp(stream) = &self.plain {
                layer.injector.set_buffers(&SockRef::from(stream))?;
            }
        }
        self.plain.register(registry, token)
    }

    pub(crate) fn shutdown_both(&self) {
        match &self.layer {
            // Who resets a connection from between its ends, tells one of them or both.
            Some(layer) if layer.injector.is_reset() && layer.injector.toss() => {
                self.plain.reset_on_close();
            }
            _ => self.plain.shutdown_both(),
        }
    }

    fn dialed(plain: plain_socket::Socket) -> Self {
        // The kernel knows it from the connect on.
        let dialer = plain.local_address().unwrap_or(Address::Unix);
        let is_dialer = true;
        let layer = Layer::new(Injector::current(), Reset { dialer, is_dialer });
        Self { plain, layer }
    }

    fn fail(&self, layer: &Layer, fault: Fault) -> io::Error {
        match fault {
            Fault::Again => layer.announce(self.descriptor()),
            Fault::Reset => layer.injector.reset(layer.reset),
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
        bound.map(Self::bound)
    }

    pub(crate) fn bind_path(path: &Path, backlog: i32) -> Result<Self, Failed> {
        plain_socket::ListeningSocket::bind_path(path, backlog).map(Self::bound)
    }

    pub(crate) fn accept(&self) -> io::Result<(Socket, Address, Address)> {
        let mut injector = None;
        if let Some(layer) = &self.layer {
            if let Verdict::Fail(fault) = layer.injector.decide(Call::Accept) {
                if fault == Fault::Again {
                    layer.announce(self.descriptor());
                }
                return Err(error_of(fault));
            }
            injector = Some(&layer.injector);
        }
        let (plain, remote, local) = self.plain.accept()?;
        let reset = Reset {
            dialer: remote,
            is_dialer: false,
        };
        let layer = Layer::new(injector.map(Injector::another), reset);
        Ok((Socket { plain, layer }, remote, local))
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if let Some(layer) = &mut self.layer {
            layer.registered(registry, token, Interest::READABLE)?;
        }
        self.plain.register(registry, token)
    }

    fn bound(plain: plain_socket::ListeningSocket) -> Self {
        let reset = Reset {
            dialer: plain.address(),
            is_dialer: false,
        };
        let layer = Layer::new(Injector::current(), reset);
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
    /// What is told of a reset: the kernel forgets addresses when a connection ends.
    reset: Reset,
    registered: Option<(Registry, Token, Interest)>,
}

impl Layer {
    fn new(injector: Option<Injector>, reset: Reset) -> Option<Box<Self>> {
        injector.map(|injector| {
            Box::new(Self {
                injector,
                reset,
                registered: None,
            })
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

fn error_of(fault: Fault) -> io::Error {
    io::Error::from_raw_os_error(match fault {
        Fault::Interrupted => libc::EINTR,
        Fault::Reset => libc::ECONNRESET,
        Fault::Exhausted => libc::EMFILE,
        Fault::NoMemory => libc::ENOBUFS,
        Fault::Aborted => libc::ECONNABORTED,
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
