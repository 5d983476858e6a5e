use std::time::Instant;

use nodepoll::limits::LINGER_TIME;

use crate::bytes::Stream;

/// What is known of one end of a connection, whoever's socket it is: what it has sent and got,
/// and how it ends.
pub(crate) struct Flow {
    /// What it sends.
    pub(crate) stream: Stream,
    pub(crate) written: u64,
    pub(crate) received: u64,
    /// Since when it closes gracefully.
    pub(crate) closing_since: Option<Instant>,
    /// It was ended so that bytes may be lost.
    pub(crate) is_abrupt: bool,
    /// It was asked to close before it had seen the other side's end: it throws away what comes.
    pub(crate) discards: bool,
    /// It has seen the other side's end.
    pub(crate) has_ended: bool,
    pub(crate) over_at: Option<Instant>,
}

impl Flow {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            written: 0,
            received: 0,
            closing_since: None,
            is_abrupt: false,
            discards: false,
            has_ended: false,
            over_at: None,
        }
    }

    /// Whether it takes what is to be written.
    pub(crate) fn takes_output(&self) -> bool {
        self.closing_since.is_none() && !self.is_abrupt && self.over_at.is_none()
    }

    /// Whether it has not yet been asked to end.
    pub(crate) fn is_open(&self) -> bool {
        self.takes_output()
    }

    /// Bytes have come from `sender`.
    pub(crate) fn receive(&mut self, sender: Stream, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "what has arrived is not nothing");
        assert!(!self.has_ended, "nothing arrives after the end");
        assert!(self.over_at.is_none(), "nothing arrives after the close");
        if let Some(position) = sender.difference(self.received, bytes) {
            let (from, len) = (self.received, bytes.len());
            panic!("byte {position} is a wrong one, of {len} from {from}");
        }
        self.received += bytes.len() as u64;
    }

    /// Whether its graceful close took so long that it may have ended before its peer did. What
    /// the peer sends then is answered with a reset.
    pub(crate) fn has_lingered(&self) -> bool {
        self.closing_since.is_some_and(|since| {
            let until = self.over_at.unwrap_or_else(Instant::now);
            until.duration_since(since) >= LINGER_TIME
        })
    }
}
