use std::time::Instant;

use nodepoll::limits::LINGER_TIME;

use crate::bytes::Stream;
use crate::scenario::Act;
use crate::silence::Diary;

/// What is known of one end of a connection, whoever's socket it is: what it has sent and got,
/// and how it ends.
pub(crate) struct Flow {
    /// What it sends.
    pub(crate) stream: Stream,
    pub(crate) written: u64,
    pub(crate) diary: Diary,
    pub(crate) received: u64,
    /// It was asked to close for writing, and not before to close.
    pub(crate) is_half_closed: bool,
    /// Since when it closes gracefully.
    pub(crate) closing_since: Option<Instant>,
    /// It was asked for its end, one way or the other.
    pub(crate) fin: Option<Fin>,
    /// Why bytes may be lost on the way to it or from it.
    pub(crate) cut: Option<Cut>,
    /// It was asked to close before it had seen the other side's end: it throws away what comes.
    pub(crate) discards: bool,
    /// It has seen the other side's end.
    pub(crate) has_ended: bool,
    pub(crate) over_at: Option<Instant>,
}

/// Who has cut a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Its user, who has destroyed or reset it.
    User,
    /// The time to close it in.
    Time,
    /// A fault that was injected: its driver has to end it without being asked.
    Fault,
}

/// Which of the two FINs of a connection one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fin {
    /// It was asked for when the other one had come.
    Second,
    /// That is not known.
    Any,
}

impl Flow {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            written: 0,
            diary: Diary::new(),
            received: 0,
            is_half_closed: false,
            closing_since: None,
            fin: None,
            cut: None,
            discards: false,
            has_ended: false,
            over_at: None,
        }
    }

    /// Whether it takes what is to be written.
    pub(crate) fn takes_output(&self) -> bool {
        !self.is_half_closed && self.is_open()
    }

    /// Whether it has not yet been asked to end.
    pub(crate) fn is_open(&self) -> bool {
        self.closing_since.is_none() && self.cut.is_none() && self.over_at.is_none()
    }

    /// Whether FIN follows what it has written.
    pub(crate) fn finishes(&self) -> bool {
        self.fin.is_some()
    }

    fn finish(&mut self) {
        let order = if self.has_ended {
            Fin::Second
        } else {
            Fin::Any
        };
        self.fin.get_or_insert(order);
    }

    /// So many bytes more are written, and have been since `at`.
    pub(crate) fn wrote(&mut self, bytes: usize, at: Instant) {
        self.written += bytes as u64;
        self.diary.note(self.written, at);
    }

    /// It was asked to do something. What this says of its end.
    pub(crate) fn note(&mut self, act: Act) {
        match act {
            _ if self.over_at.is_some() => {}
            Act::CloseWrite if self.closing_since.is_none() => {
                self.finish();
                self.is_half_closed = true;
            }
            Act::Close(_) => {
                self.finish();
                self.closing_since.get_or_insert_with(Instant::now);
            }
            Act::Destroy | Act::Reset => self.cut = Some(Cut::User),
            _ => {}
        }
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
