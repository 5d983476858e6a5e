use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};

use crate::address::Address;
use crate::options::KeepAlive;

/// Sending to a peer that has gone gives an error, not a signal.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// As above; on other systems a socket option does it, which the standard library sets.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND_FLAGS: i32 = 0;

/// The two kinds of stream sockets under one name.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// Receives into `space`. 0 is the peer's FIN, given that `space` is not empty.
    pub(crate) fn receive(&self, space: &mut [u8]) -> io::Result<usize> {
        debug_assert!(
            !space.is_empty(),
            "a read of nothing looks like the peer's FIN"
        );
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(space),
            #[cfg(unix)]
            Self::Unix(stream) => (&mut &*stream).read(space),
        }
    }

    /// Whether bytes have arrived, which are left where they are. As with a read, `WouldBlock` says
    /// that there are none yet, and `false` that there will be none.
    pub(crate) fn has_input(&self) -> io::Result<bool> {
        let peek = |socket: SockRef<'_>| socket.peek(&mut [MaybeUninit::uninit()]);
        loop {
            let count = match self {
                Self::Tcp(stream) => stream.try_io(|| peek(SockRef::from(stream))),
                #[cfg(unix)]
                Self::Unix(stream) => stream.try_io(|| peek(SockRef::from(stream))),
            };
            match count {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                count => return Ok(count? > 0),
            }
        }
    }

    /// Sends what the kernel takes of `slices`.
    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = |socket: SockRef<'_>| match slices {
            // One slice is the usual case, and the plain call is the cheaper one.
            [slice] => socket.send_with_flags(slice, SEND_FLAGS),
            _ => socket.send_vectored_with_flags(slices, SEND_FLAGS),
        };
        match self {
            Self::Tcp(stream) => stream.try_io(|| send(SockRef::from(stream))),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_io(|| send(SockRef::from(stream))),
        }
    }

    /// Sends FIN.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Ends both directions for every holder of the descriptor, so that the peer learns of the end
    /// even if another process has inherited a copy.
    pub(crate) fn shutdown_both(&self) {
        // A socket that is not connected any more needs no shutdown: nothing to do on failure.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    /// Makes the close that follows a reset.
    pub(crate) fn reset_on_close(&self) {
        if let Some(stream) = self.tcp() {
            // Without it the close is an orderly one, which is no harm.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    pub(crate) fn set_no_delay(&self, on: bool) {
        if let Some(stream) = self.tcp() {
            // Fails on a socket that is already reset; the next read tells so.
            let _ = stream.set_nodelay(on);
        }
    }

    pub(crate) fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) {
        let Some(stream) = self.tcp() else {
            return;
        };
        let socket = SockRef::from(stream);
        // As above.
        let _ = match keep_alive {
            None => socket.set_keepalive(false),
            Some(keep_alive) => socket.set_tcp_keepalive(&tcp_keep_alive(keep_alive)),
        };
    }

    /// The stream, if options of TCP mean something to it.
    #[cfg_attr(
        not(unix),
        expect(clippy::unnecessary_wraps, reason = "there is nothing but TCP")
    )]
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// The error that the kernel holds for this socket, which this call clears.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(stream) => stream.take_error(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.take_error(),
        }
    }

    /// The peer's address; fails while the socket is not connected.
    pub(crate) fn remote_address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(Address::Inet),
            #[cfg(unix)]
            Self::Unix(stream) => stream.peer_addr().map(|_| Address::Unix),
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(stream) => stream.local_addr().map(Address::Inet),
            #[cfg(unix)]
            Self::Unix(_) => Ok(Address::Unix),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, stream_interest())
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // Fails only if the socket was never registered.
        let _ = registry.deregister(self.source());
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
        }
    }

    /// Begins to connect to a TCP address.
    pub(crate) fn connect_tcp(to: SocketAddr, from: Option<SocketAddr>) -> Result<Self, Failed> {
        let socket = new_socket(Domain::for_address(to))?;
        if let Some(from) = from {
            socket.bind(&from.into()).map_err(failed("bind"))?;
        }
        begin_connect(&socket, &to.into())?;
        Ok(Self::Tcp(TcpStream::from_std(socket.into())))
    }

    /// Begins to connect to a unix socket.
    #[cfg(unix)]
    pub(crate) fn connect_path(path: &Path) -> Result<Self, Failed> {
        let address = path_address(path, "connect")?;
        let socket = new_socket(Domain::UNIX)?;
        begin_connect(&socket, &address)?;
        Ok(Self::Unix(UnixStream::from_std(socket.into())))
    }

    /// Unix sockets are not supported here.
    #[cfg(not(unix))]
    pub(crate) fn connect_path(_path: &Path) -> Result<Self, Failed> {
        Err((unsupported(), "connect"))
    }
}

/// Both directions once and for all, edge-triggered. On Linux also urgent data: a read stops short
/// of it, so that a short read does not mean an empty socket then.
pub(super) fn stream_interest() -> Interest {
    let both = Interest::READABLE | Interest::WRITABLE;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return both | Interest::PRIORITY;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    both
}

/// The two kinds of listening sockets under one name.
pub(crate) enum ListeningSocket {
    Tcp {
        listener: TcpListener,
        local: SocketAddr,
    },
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        file: SocketFile,
    },
}

/// An error and the call that it came from.
pub(crate) type Failed = (io::Error, &'static str);

impl ListeningSocket {
    pub(crate) fn bind_tcp(
        address: SocketAddr,
        backlog: i32,
        ipv6_only: bool,
        reuse_port: bool,
    ) -> Result<Self, Failed> {
        let socket = new_socket(Domain::for_address(address))?;
        if cfg!(unix) {
            socket.set_reuse_address(true).map_err(failed("listen"))?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(ipv6_only).map_err(failed("listen"))?;
        }
        if super::ACCEPTED_INHERIT_OPTIONS {
            socket.set_tcp_nodelay(true).map_err(failed("listen"))?;
        }
        if reuse_port {
            share_port(&socket).map_err(failed("listen"))?;
        }
        // Node reports what bind(2) refuses as a failure to listen.
        socket.bind(&address.into()).map_err(failed("listen"))?;
        socket.listen(backlog).map_err(failed("listen"))?;
        let listener = TcpListener::from_std(socket.into());
        let local = listener.local_addr().map_err(failed("listen"))?;
        Ok(Self::Tcp { listener, local })
    }

    #[cfg(unix)]
    pub(crate) fn bind_path(path: &Path, backlog: i32) -> Result<Self, Failed> {
        let address = path_address(path, "listen")?;
        let socket = new_socket(Domain::UNIX)?;
        socket.bind(&address).map_err(failed("listen"))?;
        let file = SocketFile::new(path);
        if let Err(error) = socket.listen(backlog) {
            file.remove();
            return Err((error, "listen"));
        }
        Ok(Self::Unix {
            listener: UnixListener::from_std(socket.into()),
            file,
        })
    }

    /// Unix sockets are not supported here.
    #[cfg(not(unix))]
    pub(crate) fn bind_path(_path: &Path, _backlog: i32) -> Result<Self, Failed> {
        Err((unsupported(), "listen"))
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp { local, .. } => Address::Inet(*local),
            #[cfg(unix)]
            Self::Unix { .. } => Address::Unix,
        }
    }

    /// Accepts one connection: its socket, the peer's address and our own.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Address, Address)> {
        match self {
            Self::Tcp { listener, local } => {
                let (stream, remote) = listener.accept()?;
                // A wildcard address tells nothing about the one the peer has dialled.
                let local = if local.ip().is_unspecified() {
                    stream.local_addr().unwrap_or(*local)
                } else {
                    *local
                };
                Ok((
                    Socket::Tcp(stream),
                    Address::Inet(remote),
                    Address::Inet(local),
                ))
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Address::Unix, Address::Unix))
            }
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE)
    }

    /// Takes the listener out of the poller and, for a unix socket, its file from the disk.
    pub(crate) fn retire(&mut self, registry: &Registry) {
        // Fails only if the socket was never registered.
        let _ = registry.deregister(self.source());
        #[cfg(unix)]
        if let Self::Unix { file, .. } = self {
            file.remove();
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp { listener, .. } => listener,
            #[cfg(unix)]
            Self::Unix { listener, .. } => listener,
        }
    }
}

/// Lets others listen at the same address. Where the system would give all peers to one of them,
/// it is refused.
fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return socket.set_reuse_port(true);
    #[cfg(target_os = "freebsd")]
    return socket.set_reuse_port_lb(true);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    {
        let _ = socket;
        Err(unsupported())
    }
}

/// What an operating system says that does not know the like.
fn unsupported() -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(libc::EOPNOTSUPP);
    #[cfg(not(unix))]
    io::Error::from_raw_os_error(10045) // WSAEOPNOTSUPP
}

fn tcp_keep_alive(keep_alive: KeepAlive) -> TcpKeepalive {
    let KeepAlive {
        idle_seconds,
        interval_seconds,
        count,
    } = keep_alive;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let mut options = TcpKeepalive::new().with_time(seconds(idle_seconds));
    if interval_seconds > 0 {
        options = options.with_interval(seconds(interval_seconds));
    }
    if count > 0 {
        options = options.with_retries(count);
    }
    options
}

/// The file of a unix socket, by which clients find it.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode; `None` for a socket that has no file.
    identity: Option<(u64, u64)>,
}

#[cfg(unix)]
impl SocketFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: Self::identify(path),
        }
    }

    fn identify(path: &Path) -> Option<(u64, u64)> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Removes the file unless a successor has put its own in its place.
    fn remove(&self) {
        if self.identity.is_some() && Self::identify(&self.path) == self.identity {
            // Somebody else may have removed it in between.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn new_socket(domain: Domain) -> Result<socket2::Socket, Failed> {
    let protocol = if domain == Domain::UNIX {
        None
    } else {
        Some(Protocol::TCP)
    };
    let socket = socket2::Socket::new(domain, Type::STREAM, protocol).map_err(failed("socket"))?;
    socket.set_nonblocking(true).map_err(failed("socket"))?;
    Ok(socket)
}

#[cfg(unix)]
fn path_address(path: &Path, syscall: &'static str) -> Result<SockAddr, Failed> {
    use std::os::unix::ffi::OsStrExt;
    let is_abstract = path.as_os_str().as_bytes().first() == Some(&0);
    if is_abstract && !cfg!(any(target_os = "linux", target_os = "android")) {
        return Err((unsupported(), syscall));
    }
    // The only other thing that can be wrong with a path is its length.
    SockAddr::unix(path).map_err(|_| (io::Error::from_raw_os_error(libc::ENAMETOOLONG), syscall))
}

fn begin_connect(socket: &socket2::Socket, address: &SockAddr) -> Result<(), Failed> {
    match socket.connect(address) {
        Err(error) if !is_under_way(&error) => Err((error, "connect")),
        _ => Ok(()),
    }
}

/// Whether the kernel goes on connecting after this "error".
#[cfg(unix)]
fn is_under_way(error: &io::Error) -> bool {
    // A unix socket gives `EAGAIN` when its listener's queue is full, and no edge follows: that is
    // a failure. TCP never gives it.
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR))
}

/// Whether the kernel goes on connecting after this "error".
#[cfg(not(unix))]
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn failed(syscall: &'static str) -> impl Fn(io::Error) -> Failed {
    move |error| (error, syscall)
}
