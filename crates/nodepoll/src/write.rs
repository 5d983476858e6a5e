use std::io::{ErrorKind, IoSlice};

use linkbuf::Segment;

use crate::connection::Connection;
use crate::error::errno_of;
use crate::event::EndReason;
use crate::io::Io;
use crate::limits::SEND_SLICES;
use crate::record::SYSCALL_WRITE;

impl Connection {
    /// Adds flushed output, to be sent with all the rest of the batch. Whether it was taken.
    pub(crate) fn write(&mut self, segment: Segment, io: &mut Io) -> bool {
        if !self.state.takes_output() || self.failure().is_some() {
            return false;
        }
        self.output.push(segment);
        if !self.listed.dirty {
            self.listed.dirty = true;
            io.dirty.push(self.key);
        }
        true
    }

    /// Notes that the host wants to know when all output queued so far has been taken.
    pub(crate) fn acknowledge_all(&mut self, io: &mut Io) {
        let last = self.sent + self.output.len() as u64;
        self.extras().acknowledge = Some((self.sent, last));
        self.acknowledge_sent(io);
    }

    /// Sends until nothing is left or the kernel takes no more. Only `EAGAIN` proves the latter: a
    /// short write does not, and the edge that tells of room comes only after it.
    pub(crate) fn send(&mut self, io: &mut Io) {
        self.listed.dirty = false;
        while self.state.sends_output() && !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SEND_SLICES];
            let (count, _) = self.output.io_slices(&mut slices);
            io.counters.writes += 1;
            match self.socket.send(&slices[..count]) {
                Ok(count) => {
                    self.output.skip(count);
                    self.sent += count as u64;
                    io.counters.bytes_written += count as u64;
                    self.active_at = io.now;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        io.counters.bytes_copied += self.output.compact() as u64;
                        break;
                    }
                    ErrorKind::Interrupted => {}
                    _ => {
                        let errno = errno_of(&error);
                        let failure = EndReason::Error {
                            errno,
                            syscall: SYSCALL_WRITE,
                        };
                        return self.send_failed(failure, io);
                    }
                },
            }
        }
        self.acknowledge_sent(io);
        self.finish_output(io);
    }

    fn acknowledge_sent(&mut self, io: &mut Io) {
        let sent = self.sent;
        let Some(extras) = self.extras_if_any() else {
            return;
        };
        extras.acknowledge = match extras.acknowledge {
            Some((_, last)) if sent >= last => None,
            Some((told, last)) if sent > told => Some((sent, last)),
            _ => return,
        };
        self.owe_drained(io);
    }
}
