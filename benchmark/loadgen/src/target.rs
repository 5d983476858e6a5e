//! Where the server is, and a stream to it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockRef, Socket, Type};

use crate::args::Args;
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The ports of one source address are fewer than 30,000; from here on the next one is used.
const CONNECTIONS_PER_SOURCE: u64 = 20_000;

#[derive(Debug)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Target {
    pub(crate) fn of(args: &Args) -> Result<Self, Failure> {
        if let Some(path) = &args.path {
            return Ok(Self::Unix(path.clone()));
        }
        let port = args
            .port
            .expect("clap requires a port where there is no path");
        let mut addresses = (args.host.as_str(), port)
            .to_socket_addrs()
            .map_err(|cause| Failure::Connect {
                target: format!("{}:{port}", args.host),
                cause,
            })?;
        Ok(Self::Tcp(
            addresses
                .next()
                .expect("a name that resolves has an address"),
        ))
    }

    /// Connects and waits for it: an overfull backlog slows the caller down instead of failing.
    ///
    /// `ordinal` counts the connections that are open at the same time.
    pub(crate) fn connect(&self, ordinal: u64) -> Result<Stream, Failure> {
        let connected = match self {
            Self::Tcp(address) => connect_tcp(*address, ordinal).map(Stream::Tcp),
            Self::Unix(path) => StdUnixStream::connect(path).and_then(|stream| {
                stream.set_nonblocking(true)?;
                Ok(Stream::Unix(UnixStream::from_std(stream)))
            }),
        };
        connected.map_err(|cause| Failure::Connect {
            target: self.to_string(),
            cause,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Stream {
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Closes with RST: thousands of short connections a second would otherwise use up all ports
    /// by waiting in `TIME_WAIT`.
    pub(crate) fn reset(self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
            Self::Unix(_) => Ok(()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(to, token, interest),
            Self::Unix(stream) => stream.register(to, token, interest),
        }
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(to, token, interest),
            Self::Unix(stream) => stream.reregister(to, token, interest),
        }
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(from),
            Self::Unix(stream) => stream.deregister(from),
        }
    }
}

fn connect_tcp(address: SocketAddr, ordinal: u64) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(source) = source_address(address, ordinal) {
        socket.bind(&source.into())?;
    }
    socket.connect_timeout(&address.into(), CONNECT_TIMEOUT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// 127.0.0.2 and its successors, for the connections that do not fit on 127.0.0.1.
fn source_address(target: SocketAddr, ordinal: u64) -> Option<SocketAddr> {
    let group = u8::try_from(ordinal / CONNECTIONS_PER_SOURCE).ok()?;
    if group == 0 || target.ip() != Ipv4Addr::LOCALHOST {
        return None;
    }
    Some((Ipv4Addr::new(127, 0, 0, group.checked_add(1)?), 0).into())
}
