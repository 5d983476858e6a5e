//! One connection: what was asked, sent and received on it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::payload::Payload;
use crate::target::Stream;

#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    stream: Stream,
    payload: Payload,
    request_size: u64,
    /// Positions in the stream of bytes: received ≤ sent ≤ asked.
    received: u64,
    sent: u64,
    asked: u64,
    /// When each request in flight was made, oldest first.
    made_at: VecDeque<Instant>,
    is_finishing: bool,
    has_ended: bool,
}

impl Connection {
    /// A request has `request_size` bytes of `payload`.
    pub(crate) fn new(id: u64, stream: Stream, payload: Payload, request_size: usize) -> Self {
        Self {
            id,
            stream,
            payload,
            request_size: request_size as u64,
            received: 0,
            sent: 0,
            asked: 0,
            made_at: VecDeque::new(),
            is_finishing: false,
            has_ended: false,
        }
    }

    /// Makes `count` more requests; `send` puts them on their way.
    pub(crate) fn request(&mut self, count: usize, now: Instant) {
        self.asked += self.request_size * count as u64;
        self.made_at.extend(std::iter::repeat_n(now, count));
    }

    /// Sends what the kernel takes; to be called again when the socket is writable.
    pub(crate) fn send(&mut self, scratch: &mut [u8]) -> Result<(), Failure> {
        while self.sent < self.asked {
            let owed = usize::try_from(self.asked - self.sent).unwrap_or(usize::MAX);
            let size = owed.min(scratch.len());
            let bytes = &mut scratch[..size];
            self.payload.fill(self.sent, bytes);
            match self.stream.write(bytes) {
                Ok(taken) => self.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended_by(error, "send")),
            }
        }
        Ok(())
    }

    /// Receives and verifies all there is, and tells the latency of each reply it completes.
    ///
    /// A short read means that the socket is empty, unless the event has said that the peer has
    /// ended too: no further event would tell of that end.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        is_read_closed: bool,
        mut on_reply: impl FnMut(Duration),
    ) -> Result<(), Failure> {
        while !self.has_ended {
            match self.stream.read(scratch) {
                Ok(0) => self.end()?,
                Ok(size) => {
                    self.accept(&scratch[..size], &mut on_reply)?;
                    if size < scratch.len() && !is_read_closed {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended_by(error, "receive")),
            }
        }
        Ok(())
    }

    /// Says that no request follows. The server answers with its own end, after which it is
    /// certain that nothing came twice.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.is_finishing = true;
        self.stream
            .shutdown_write()
            .map_err(|error| self.ended_by(error, "end a connection"))
    }

    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.made_at.len()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn accept(&mut self, bytes: &[u8], on_reply: &mut impl FnMut(Duration)) -> Result<(), Failure> {
        let end = self.received + bytes.len() as u64;
        let due = self.sent.min(end) - self.received;
        let due = usize::try_from(due).expect("no longer than the bytes that came");
        self.payload
            .verify(self.received, &bytes[..due])
            .map_err(|mismatch| Failure::Corrupt {
                connection: self.id,
                mismatch,
            })?;
        if end > self.sent {
            return Err(Failure::Surplus {
                connection: self.id,
                position: self.sent,
            });
        }
        let replies = end / self.request_size - self.received / self.request_size;
        self.received = end;
        if replies > 0 {
            let now = Instant::now();
            for _ in 0..replies {
                let made_at = self.made_at.pop_front();
                on_reply(now - made_at.expect("a reply that was sent for was asked for"));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.received < self.asked || !self.is_finishing {
            return Err(self.closed_early());
        }
        self.has_ended = true;
        Ok(())
    }

    fn closed_early(&self) -> Failure {
        Failure::ClosedEarly {
            connection: self.id,
            position: self.received,
        }
    }

    fn ended_by(&self, cause: io::Error, action: &'static str) -> Failure {
        match cause.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
                self.closed_early()
            }
            _ => Failure::Io { action, cause },
        }
    }
}
