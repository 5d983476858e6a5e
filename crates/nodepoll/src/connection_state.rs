/// Where a connection is in its life.
///
/// ```text
///               peer's FIN
///     Open ────────────────────▶ PeerEnded
///      │ close                       │ close
///      ▼            peer's FIN       ▼
///   Flushing ────────────────▶ FlushingLast
///      │ output sent, then FIN       │ output sent
///      ▼                             ▼
///   Lingering ─────────────────▶  Closed
///        peer's FIN, time or limit
/// ```
/// An error and `destroy` lead to `Closed` from everywhere. What is queued and whether reading is
/// held up are independent of it. A dial becomes a connection once the kernel has connected it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Both directions are open.
    Open,
    /// The peer has sent FIN; we may still send.
    PeerEnded,
    /// We are closing: output is being sent, input is discarded.
    Flushing,
    /// We are closing and the peer has sent FIN: output is being sent.
    FlushingLast,
    /// We have sent FIN and discard input until the peer does.
    Lingering,
    /// Nothing is left but to tell the host.
    Closed,
}

use ConnectionState::{Closed, Flushing, FlushingLast, Lingering, Open, PeerEnded};

impl ConnectionState {
    /// The peer has sent FIN.
    #[must_use]
    pub fn peer_ended(self) -> Self {
        match self {
            Open => PeerEnded,
            Flushing => FlushingLast,
            Lingering => Closed,
            PeerEnded | FlushingLast | Closed => self,
        }
    }

    /// The host wants a graceful close.
    #[must_use]
    pub fn closing(self) -> Self {
        match self {
            Open => Flushing,
            PeerEnded => FlushingLast,
            Flushing | FlushingLast | Lingering | Closed => self,
        }
    }

    /// All output has been sent. From [`Flushing`](Self::Flushing) our FIN goes out with it.
    #[must_use]
    pub fn output_sent(self) -> Self {
        match self {
            Flushing => Lingering,
            FlushingLast => Closed,
            Open | PeerEnded | Lingering | Closed => self,
        }
    }

    /// Whether arriving bytes are for the host.
    #[must_use]
    pub fn delivers_input(self) -> bool {
        self == Open
    }

    /// Whether arriving bytes are read and thrown away.
    #[must_use]
    pub fn discards_input(self) -> bool {
        matches!(self, Flushing | Lingering)
    }

    /// Whether the host may add output.
    #[must_use]
    pub fn takes_output(self) -> bool {
        matches!(self, Open | PeerEnded)
    }

    /// Whether queued output is still sent.
    #[must_use]
    pub fn sends_output(self) -> bool {
        matches!(self, Open | PeerEnded | Flushing | FlushingLast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ConnectionState; 6] = [Open, PeerEnded, Flushing, FlushingLast, Lingering, Closed];

    #[test]
    fn every_state_answers_every_event_as_the_diagram_says() {
        let table = [
            (
                ConnectionState::peer_ended as fn(_) -> _,
                [
                    PeerEnded,
                    PeerEnded,
                    FlushingLast,
                    FlushingLast,
                    Closed,
                    Closed,
                ],
            ),
            (
                ConnectionState::closing,
                [
                    Flushing,
                    FlushingLast,
                    Flushing,
                    FlushingLast,
                    Lingering,
                    Closed,
                ],
            ),
            (
                ConnectionState::output_sent,
                [Open, PeerEnded, Lingering, Closed, Lingering, Closed],
            ),
        ];
        for (event, outcomes) in table {
            assert_eq!(ALL.map(event), outcomes);
        }
    }

    #[test]
    fn closed_is_final_and_does_nothing() {
        assert!(!Closed.delivers_input() && !Closed.discards_input());
        assert!(!Closed.takes_output() && !Closed.sends_output());
    }
}
