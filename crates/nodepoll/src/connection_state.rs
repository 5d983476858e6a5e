/// Where a connection is in its life.
///
/// ```text
///                  peer's FIN
///        Open ─────────────────▶ PeerEnded
///         │ close_write             │ close, close_write
///         ▼            peer's FIN   ▼
///  ┌─ WriteClosing ───────────▶ FlushingLast ─── output sent ──▶ Closed
///  │      │ output sent, then FIN                                  ▲
///  │      ▼            peer's FIN                                  │
///  │  WriteClosed ─────────────────────────────────────────────────┤
///  │      │ close                                                  │
///  │ close▼                    peer's FIN, time or limit           │
///  │  Lingering ───────────────────────────────────────────────────┘
///  │      ▲ output sent, then FIN
///  ▼      │
///  Flushing ── peer's FIN ──▶ FlushingLast
/// ```
/// `close` leads from `Open` to `Flushing` as well. An error and `destroy` lead to `Closed` from
/// everywhere. What is queued and whether reading is held up are independent of it. A dial becomes
/// a connection once the kernel has connected it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Both directions are open.
    Open,
    /// The peer has sent FIN; we may still send.
    PeerEnded,
    /// The last output is being sent, then FIN; input is still received.
    WriteClosing,
    /// We have sent FIN; input is still received.
    WriteClosed,
    /// We are closing: output is being sent, input is discarded.
    Flushing,
    /// The peer has sent FIN, and our last output is being sent.
    FlushingLast,
    /// We have sent FIN and discard input until the peer does.
    Lingering,
    /// Nothing is left but to tell the host.
    Closed,
}

use ConnectionState::{
    Closed, Flushing, FlushingLast, Lingering, Open, PeerEnded, WriteClosed, WriteClosing,
};

impl ConnectionState {
    /// The peer has sent FIN.
    #[must_use]
    pub fn peer_ended(self) -> Self {
        match self {
            Open => PeerEnded,
            WriteClosing | Flushing => FlushingLast,
            WriteClosed | Lingering => Closed,
            PeerEnded | FlushingLast | Closed => self,
        }
    }

    /// The host wants FIN to follow the output, and to receive on.
    #[must_use]
    pub fn write_closing(self) -> Self {
        match self {
            Open => WriteClosing,
            PeerEnded => FlushingLast,
            WriteClosing | WriteClosed | Flushing | FlushingLast | Lingering | Closed => self,
        }
    }

    /// The host wants a graceful close.
    #[must_use]
    pub fn closing(self) -> Self {
        match self {
            Open | WriteClosing => Flushing,
            PeerEnded => FlushingLast,
            WriteClosed => Lingering,
            Flushing | FlushingLast | Lingering | Closed => self,
        }
    }

    /// All output has been sent. From [`WriteClosing`](Self::WriteClosing) and
    /// [`Flushing`](Self::Flushing) our FIN goes out with it.
    #[must_use]
    pub fn output_sent(self) -> Self {
        match self {
            WriteClosing => WriteClosed,
            Flushing => Lingering,
            FlushingLast => Closed,
            Open | PeerEnded | WriteClosed | Lingering | Closed => self,
        }
    }

    /// Whether arriving bytes are for the host.
    #[must_use]
    pub fn delivers_input(self) -> bool {
        matches!(self, Open | WriteClosing | WriteClosed)
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
        matches!(
            self,
            Open | PeerEnded | WriteClosing | Flushing | FlushingLast
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ConnectionState; 8] = [
        Open,
        PeerEnded,
        WriteClosing,
        WriteClosed,
        Flushing,
        FlushingLast,
        Lingering,
        Closed,
    ];

    #[test]
    fn every_state_answers_every_event_as_the_diagram_says() {
        let table: [(fn(_) -> _, _); 4] = [
            (
                ConnectionState::peer_ended,
                [
                    PeerEnded,
                    PeerEnded,
                    FlushingLast,
                    Closed,
                    FlushingLast,
                    FlushingLast,
                    Closed,
                    Closed,
                ],
            ),
            (
                ConnectionState::write_closing,
                [
                    WriteClosing,
                    FlushingLast,
                    WriteClosing,
                    WriteClosed,
                    Flushing,
                    FlushingLast,
                    Lingering,
                    Closed,
                ],
            ),
            (
                ConnectionState::closing,
                [
                    Flushing,
                    FlushingLast,
                    Flushing,
                    Lingering,
                    Flushing,
                    FlushingLast,
                    Lingering,
                    Closed,
                ],
            ),
            (
                ConnectionState::output_sent,
                [
                    Open,
                    PeerEnded,
                    WriteClosed,
                    WriteClosed,
                    Lingering,
                    Closed,
                    Lingering,
                    Closed,
                ],
            ),
        ];
        for (event, outcomes) in table {
            assert_eq!(ALL.map(event), outcomes);
        }
    }

    #[test]
    fn every_order_of_events_comes_to_an_end_and_no_input_is_both_taken_and_thrown_away() {
        let events: [fn(ConnectionState) -> ConnectionState; 4] = [
            ConnectionState::peer_ended,
            ConnectionState::write_closing,
            ConnectionState::closing,
            ConnectionState::output_sent,
        ];
        for state in ALL {
            assert!(!(state.delivers_input() && state.discards_input()));
            assert!(!state.takes_output() || state.sends_output());
            for event in events {
                let next = event(state);
                assert_eq!(event(next), next, "once is as good as twice");
                // What was given up never comes back.
                assert!(state.takes_output() || !next.takes_output());
                assert!(state.delivers_input() || !next.delivers_input());
            }
            // A close, the last byte and the peer's FIN end it, in whatever order they come.
            let ways = [
                [0, 2, 3],
                [2, 0, 3],
                [2, 3, 0],
                [0, 1, 3],
                [1, 0, 3],
                [1, 3, 0],
            ];
            for way in ways {
                let end = way.iter().fold(state, |state, &step| events[step](state));
                assert_eq!(end, Closed, "{state:?} by {way:?}");
            }
        }
    }

    #[test]
    fn closed_is_final_and_does_nothing() {
        assert!(!Closed.delivers_input() && !Closed.discards_input());
        assert!(!Closed.takes_output() && !Closed.sends_output());
    }
}
