use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use nodepoll::Endpoint;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::bytes::Stream;
use crate::flow::Flow;

/// Bytes moved by one call.
const PIECE: usize = 16 << 10;

/// An end whose socket is none of the runtime's: the kernel's behaviour without faults.
pub(crate) struct Foreign {
    /// `None` before it is opened and after its end.
    socket: Option<Socket>,
    pub(crate) is_paused: bool,
    sent: u64,
    has_sent_fin: bool,
}

impl Foreign {
    pub(crate) fn new() -> Self {
        Self {
            socket: None,
            is_paused: false,
            sent: 0,
            has_sent_fin: false,
        }
    }

    pub(crate) fn connect(&mut self, to: &Endpoint, from: Option<SocketAddr>) {
        let (domain, to) = match to {
            Endpoint::Inet(address) => (Domain::IPV4, SockAddr::from(*address)),
            Endpoint::Path(path) => (Domain::UNIX, SockAddr::unix(path).unwrap()),
        };
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        if let Some(from) = from {
            socket.bind(&from.into()).unwrap();
            socket.set_tcp_nodelay(true).unwrap();
        }
        socket.connect(&to).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.socket = Some(socket);
    }

    /// Ends at once, by a reset or as the kernel likes it.
    pub(crate) fn drop_socket(&mut self, flow: &mut Flow, resets: bool) {
        if let Some(socket) = self.socket.take() {
            if resets {
                // Without effect on a unix socket, which knows no reset.
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
            flow.over_at = Some(Instant::now());
        }
    }

    /// Sends and receives what the kernel takes and has. Whether that was anything; or the error.
    pub(crate) fn work(&mut self, flow: &mut Flow, sender: Stream) -> Result<bool, ErrorKind> {
        let Some(socket) = &self.socket else {
            return Ok(false);
        };
        let before = (self.sent, flow.received, flow.has_ended, self.has_sent_fin);
        match Self::send(socket, &mut self.sent, flow) {
            Ok(()) | Err(ErrorKind::WouldBlock) => {}
            Err(error) => return self.fail(flow, error),
        }
        if self.sent == flow.written && flow.finishes() && !self.has_sent_fin {
            // After a reset there is nothing to shut down; the next read tells of it.
            let _ = socket.shutdown(Shutdown::Write);
            self.has_sent_fin = true;
        }
        if !self.is_paused && !flow.has_ended {
            match Self::receive(socket, flow, sender) {
                Ok(()) | Err(ErrorKind::WouldBlock) => {}
                Err(error) => return self.fail(flow, error),
            }
        }
        if self.has_sent_fin && flow.has_ended {
            self.drop_socket(flow, false);
        }
        Ok(before != (self.sent, flow.received, flow.has_ended, self.has_sent_fin))
    }

    /// Where it stands, for a failure.
    pub(crate) fn describe(&self) -> String {
        let paused = if self.is_paused { " paused" } else { "" };
        format!("std{paused} sent {},", self.sent)
    }

    fn send(mut socket: &Socket, sent: &mut u64, flow: &Flow) -> Result<(), ErrorKind> {
        while *sent < flow.written {
            let left = usize::try_from(flow.written - *sent).unwrap();
            let bytes = flow.stream.bytes(*sent, left.min(PIECE));
            *sent += socket.write(bytes).map_err(|error| error.kind())? as u64;
        }
        Ok(())
    }

    fn receive(mut socket: &Socket, flow: &mut Flow, from: Stream) -> Result<(), ErrorKind> {
        let mut space = vec![0; PIECE];
        loop {
            let count = socket.read(&mut space).map_err(|error| error.kind())?;
            if count == 0 {
                flow.has_ended = true;
                return Ok(());
            }
            flow.receive(from, &space[..count]);
        }
    }

    fn fail(&mut self, flow: &mut Flow, error: ErrorKind) -> Result<bool, ErrorKind> {
        self.drop_socket(flow, false);
        Err(error)
    }
}
