//! What one back end says in one event another says in several, in another order, twice or
//! without a reason. Nobody may notice.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;

use proptest::prelude::*;

use socket2::SockRef;

use super::*;

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Step {
    PeerSends(usize),
    PeerReads,
    PeerEnds,
    PeerResets,
    HostSends(usize),
    HostClosesWrite,
    HostPauses,
    HostResumes,
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Turn),
        4 => (1..50_000_usize).prop_map(Step::PeerSends),
        4 => (1..300_000_usize).prop_map(Step::HostSends),
        2 => Just(Step::PeerReads),
        2 => Just(Step::PeerEnds),
        1 => Just(Step::PeerResets),
        1 => Just(Step::HostClosesWrite),
        1 => Just(Step::HostPauses),
        1 => Just(Step::HostResumes),
    ]
}

/// How a turn is told what the kernel has said.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// One by one, beginning with this one.
    split_from: Option<usize>,
    is_repeated: bool,
    /// What had been said for the turn before comes again.
    is_stale: bool,
    for_no_reason: Option<Readiness>,
}

fn manner() -> impl Strategy<Value = Manner> {
    // Seldom: what comes twice or for no reason stands in for what is missed.
    let seldom = || prop::bool::weighted(0.2);
    let reasonless = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Readiness::READABLE)),
        1 => Just(Some(Readiness::WRITABLE)),
        1 => Just(Some(Readiness::READABLE.and(Readiness::WRITABLE))),
        1 => Just(Some(Readiness::READ_CLOSED)),
        1 => Just(Some(Readiness::PRIORITY)),
    ];
    let split_from = prop::option::of(0..PARTS.len());
    let parts = (split_from, seldom(), seldom(), reasonless);
    parts.prop_map(
        |(split_from, is_repeated, is_stale, for_no_reason)| Manner {
            split_from,
            is_repeated,
            is_stale,
            for_no_reason,
        },
    )
}

const PARTS: [Readiness; 6] = [
    Readiness::READABLE,
    Readiness::WRITABLE,
    Readiness::READ_CLOSED,
    Readiness::WRITE_CLOSED,
    Readiness::ERROR,
    Readiness::PRIORITY,
];

/// As the kernel has it.
const AS_IT_IS: [Manner; 1] = [Manner {
    split_from: None,
    is_repeated: false,
    is_stale: false,
    for_no_reason: None,
}];

impl Manner {
    fn tell(self, said: &[Readiness], said_before: &[Readiness]) -> Vec<Readiness> {
        let mut told: Vec<_> = self.for_no_reason.into_iter().collect();
        if self.is_stale {
            told.extend(said_before);
        }
        for _ in 0..=u8::from(self.is_repeated) {
            match self.split_from {
                None => told.extend(said),
                Some(first) => {
                    let parts = (0..PARTS.len()).map(|at| PARTS[(first + at) % PARTS.len()]);
                    told.extend(parts.filter(|&part| said.iter().any(|all| all.says(part))));
                }
            }
        }
        told
    }
}

/// What both ends have seen when all is over.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    input: Vec<u8>,
    /// The host has heard of the peer's FIN: by itself, or with the end that came of it.
    has_peer_ended: bool,
    /// An error by its number.
    reason: Option<Result<EndReason, i32>>,
    closed: usize,
    /// `None` after a reset: how much has arrived before is the kernel's to say, at both ends.
    peer_input: Option<Vec<u8>>,
}

/// A connection whose driver is told in a manner.
struct Scene<'a> {
    rig: Rig,
    id: ConnectionId,
    peer: Option<TcpStream>,
    manners: std::iter::Cycle<std::slice::Iter<'a, Manner>>,
    said_before: Vec<Readiness>,
    /// Bytes written by the peer, and by the host.
    written: [usize; 2],
    has_peer_ended: bool,
    has_host_ended: bool,
    is_paused: bool,
    outcome: Outcome,
}

impl<'a> Scene<'a> {
    fn new(manners: &'a [Manner]) -> Self {
        let mut rig = Rig::with_memory(16 * CHUNK_BYTES);
        let seam = Arc::clone(&rig.driver.io.seam);
        let arena = rig.driver.io.memory.arena();
        arena.on_room(Box::new(move || seam.memory_came()));
        let (peer, id) = rig.open();
        peer.set_nonblocking(true).unwrap();
        // So that the kernel takes no more now and then.
        let Entry::Connection(Connection { socket, .. }) = &rig.driver.entries[Key::of_id(id)]
        else {
            panic!("it is a connection");
        };
        let Socket::Tcp(stream) = socket else {
            panic!("it is of TCP");
        };
        for socket in [SockRef::from(stream), SockRef::from(&peer)] {
            socket.set_send_buffer_size(16 << 10).unwrap();
        }
        Self {
            rig,
            id,
            peer: Some(peer),
            manners: manners.iter().cycle(),
            said_before: Vec::new(),
            written: [0; 2],
            has_peer_ended: false,
            has_host_ended: false,
            is_paused: false,
            outcome: Outcome {
                peer_input: Some(Vec::new()),
                ..Outcome::default()
            },
        }
    }

    fn take(&mut self, step: Step) {
        let id = self.id;
        match step {
            Step::PeerSends(bytes) => self.peer_sends(bytes),
            Step::PeerReads => self.peer_reads(),
            Step::PeerEnds => {
                if let Some(peer) = &self.peer {
                    // Not so when the driver has ended the connection before.
                    self.has_peer_ended |= peer.shutdown(Shutdown::Write).is_ok();
                }
            }
            // After its FIN a reset may come before or after ours, as it likes.
            Step::PeerResets if self.has_peer_ended => {}
            Step::PeerResets => {
                if let Some(peer) = self.peer.take() {
                    let peer = socket2::Socket::from(peer);
                    peer.set_linger(Some(Duration::ZERO)).unwrap();
                    self.outcome.peer_input = None;
                }
            }
            Step::HostSends(bytes) => self.host_sends(bytes),
            Step::HostClosesWrite => {
                self.has_host_ended = true;
                self.rig.driver.on_command(Command::CloseWrite { id });
            }
            Step::HostPauses => {
                self.is_paused = true;
                self.rig.driver.on_command(Command::Pause { id });
            }
            Step::HostResumes => self.resume(),
            Step::Turn => self.turn(Duration::ZERO),
        }
    }

    /// Resuming is a reason to read, which would stand in for one that was missed.
    fn resume(&mut self) {
        if std::mem::take(&mut self.is_paused) {
            let id = self.id;
            self.rig.driver.on_command(Command::Resume { id });
        }
    }

    fn peer_sends(&mut self, bytes: usize) {
        let pattern = pattern(self.written[0], bytes);
        let Some(peer) = &mut self.peer else { return };
        // What finds no room, or comes after its end, is not sent.
        if let Ok(count) = peer.write(&pattern) {
            self.written[0] += count;
        }
    }

    fn peer_reads(&mut self) {
        let (Some(peer), Some(input)) = (&mut self.peer, &mut self.outcome.peer_input) else {
            return;
        };
        match peer.read_to_end(input) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => self.outcome.peer_input = None,
            _ => {}
        }
    }

    fn host_sends(&mut self, bytes: usize) {
        let arena = self.rig.driver.io.memory.arena().clone();
        for at in (0..bytes).step_by(READ_NODE_BYTES) {
            let piece = READ_NODE_BYTES.min(bytes - at);
            let Some(mut node) = arena.allocate_for(Purpose::Any, piece) else {
                arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
                return self.host_sends(bytes - at);
            };
            let segment = node.write(&pattern(self.written[1], piece)).into_lease();
            self.written[1] += piece;
            let id = self.id;
            self.rig.driver.on_command(Command::Write { id, segment });
        }
    }

    fn turn(&mut self, wait: Duration) {
        let Rig {
            driver,
            poll,
            events,
            ..
        } = &mut self.rig;
        poll.poll(events, Some(wait)).unwrap();
        let token = Key::of_id(self.id).token();
        let its = events.iter().filter(|event| event.token() == token);
        let said: Vec<_> = its.map(Readiness::of).collect();
        let manner = self.manners.next().unwrap();
        let told = manner.tell(&said, &self.said_before);
        self.said_before = said;
        driver.turn_on(told.into_iter().map(|readiness| (token, readiness)));
        for event in self.rig.told_in_all() {
            self.hear(&event);
        }
    }

    fn hear(&mut self, event: &Event) {
        let arena = self.rig.driver.io.memory.arena().clone();
        match *event {
            Event::Data { segment, .. } => {
                let bytes = arena.take_leased(segment).unwrap();
                self.outcome.input.extend_from_slice(bytes.as_slice());
            }
            Event::End { .. } => {
                assert!(!self.outcome.has_peer_ended, "it is told once");
                self.outcome.has_peer_ended = true;
            }
            Event::Closed { reason, .. } => {
                self.outcome.closed += 1;
                self.outcome.has_peer_ended |= reason == EndReason::Peer;
                self.outcome.reason = Some(match reason {
                    // The kernel says either of a reset, and whether a read or a write is the
                    // first to hear of it is chance.
                    EndReason::Error { errno, .. } if errno == libc::EPIPE => Err(libc::ECONNRESET),
                    EndReason::Error { errno, .. } => Err(errno),
                    other => Ok(other),
                });
            }
            Event::NeedMemory => drop(arena.grant(Chunk::boxed(CHUNK_BYTES))),
            _ => {}
        }
    }

    /// All that was sent arrives, then both ends close.
    fn finish(mut self) -> Outcome {
        let id = self.id;
        // What comes for no reason would stand in for what was missed.
        self.manners = AS_IT_IS.iter().cycle();
        self.resume();
        self.turn_until(|scene| {
            let Outcome {
                input,
                has_peer_ended,
                ..
            } = &scene.outcome;
            input.len() == scene.written[0] && *has_peer_ended == scene.has_peer_ended
        });
        // What both have ended, or the peer has reset, needs nobody to close it.
        let is_ended = self.has_peer_ended && self.has_host_ended;
        if let Some(peer) = &self.peer
            && !is_ended
        {
            self.rig.driver.on_command(Command::Close { id, millis: 0 });
            let _ = peer.shutdown(Shutdown::Write);
        }
        self.turn_until(|_| false);
        self.peer_reads();
        assert_eq!(self.rig.driver.entries.len(), 0);
        self.outcome
    }

    fn turn_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        for _ in 0..2000 {
            if is_done(self) || self.outcome.closed > 0 {
                return;
            }
            self.peer_reads();
            self.turn(Duration::from_millis(1));
        }
        panic!(
            "it does not come to an end: {:?}, of {:?} written {} have come",
            self.outcome.reason,
            self.written,
            self.outcome.input.len()
        );
    }
}

/// Bytes of a stream that tell where in it they belong.
fn pattern(at: usize, bytes: usize) -> Vec<u8> {
    let numbers = (at..at + bytes).map(|at| at.wrapping_mul(0x9e37_79b9) >> 11);
    numbers.map(|number| number.to_le_bytes()[0]).collect()
}

fn outcome(steps: &[Step], manners: &[Manner]) -> Outcome {
    let mut scene = Scene::new(manners);
    for &step in steps {
        scene.take(step);
    }
    let written = scene.written[0];
    let mut outcome = scene.finish();
    let is_whole = outcome.peer_input.is_none() || outcome.input.len() == written;
    let is_right = outcome.input == pattern(0, outcome.input.len());
    assert!(is_whole && is_right, "input is what was sent");
    // How much that was, the kernel has said: it takes as much as it has room for.
    outcome.input.clear();
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn h111_readiness_that_is_split_repeated_late_or_without_reason_changes_nothing(
        steps in prop::collection::vec(step(), 1..12),
        manners in prop::collection::vec(manner(), 1..20),
    ) {
        let plain = outcome(&steps, &AS_IT_IS);
        prop_assert_eq!(plain.closed, 1);
        let other = outcome(&steps, &manners);
        prop_assert!(plain == other, "{:?} and {:?}", plain.reason, other.reason);
    }
}

#[test]
fn h111_a_fin_is_heard_in_whatever_part_of_what_is_said_it_stands() {
    let steps = [Step::PeerSends(10), Step::PeerEnds, Step::Turn];
    let plain = outcome(&steps, &AS_IT_IS);
    for first in 0..PARTS.len() {
        let manner = Manner {
            split_from: Some(first),
            ..AS_IT_IS[0]
        };
        assert_eq!(outcome(&steps, &[manner]), plain);
    }
}
