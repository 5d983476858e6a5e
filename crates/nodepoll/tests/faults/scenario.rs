use std::sync::Arc;

use linkbuf::Purpose;
use nodepoll::faults::{Fault, Faults, Random};
use nodepoll::limits::RING_RECORDS;
use nodepoll::{Hosting, LoadBalance, RuntimeOptions};

/// All that a seed decides. What comes of it depends on threads and on the kernel too.
pub(crate) struct Scenario {
    pub(crate) runtime: RuntimeOptions,
    /// Chunks of memory for input and output.
    pub(crate) chunks: usize,
    /// Nodes of the usual size that are of no use before all steps are done, and what somebody
    /// else has taken them for.
    pub(crate) ballast: (usize, Purpose),
    pub(crate) faults: Arc<Faults>,
    /// How many accepted connections may be open.
    pub(crate) places: Option<u32>,
    /// Whether some connections are kept busy for a while.
    pub(crate) is_long: bool,
    pub(crate) pairs: Vec<PairPlan>,
    pub(crate) steps: Vec<Step>,
}

/// A connection: side 0 dials, side 1 is accepted.
pub(crate) struct PairPlan {
    /// Side 0 is a socket of the standard library and not one of the runtime's.
    pub(crate) is_foreign: bool,
    /// It is a unix socket.
    pub(crate) is_unix: bool,
    pub(crate) ends: [EndPlan; 2],
}

#[derive(Clone, Copy)]
pub(crate) struct EndPlan {
    /// Bytes that may be received at first. Side 1 has that of the listener.
    pub(crate) window: u32,
    /// Whether the window moves on by itself as bytes arrive.
    pub(crate) widens: bool,
    /// How many leases of what has arrived are kept.
    pub(crate) keeps: usize,
    /// What it does when the other side has ended.
    pub(crate) on_end: Option<Act>,
    /// How it ends if it is still open after all steps.
    pub(crate) ending: Act,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Open(usize),
    /// Dials where nobody listens.
    DialRefused,
    /// Dials where nobody answers.
    DialSilent,
    /// Gives dials up that nobody answers.
    Cancel,
    /// Listens no more for a connection that has been dialled, and may wait to be accepted.
    Shut(usize),
    Act {
        pair: usize,
        side: usize,
        act: Act,
    },
    /// Asks all ends for acknowledgements.
    Acknowledge,
    /// Hands commands over, and does not look at what has come.
    HandOver,
    /// Looks at what has come, or waits for so many microseconds if nothing has.
    Look(u64),
}

/// What an end does. One of the standard library's only has some of these.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// In so many pieces.
    Write {
        bytes: usize,
        pieces: usize,
    },
    Pause,
    Resume,
    /// The window moves so far beyond what has been received.
    Widen(u32),
    /// Room for so many bytes is provided, as if so many that have come were not known of yet.
    Fill {
        bytes: usize,
        behind: u64,
    },
    Acknowledge,
    Probe,
    /// Gives back half of the leases that were kept.
    Release,
    /// FIN after all that was written, while input still comes.
    CloseWrite,
    /// A graceful end: FIN after all that was written, in so many milliseconds, or 0.
    Close(u32),
    /// Asks to be told of so many milliseconds without a byte.
    Idle(u32),
    Destroy,
    Reset,
}

/// Which faults there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// As the seed says: all kinds, some kinds or none.
    Any,
    /// Only these, and often.
    Only(&'static [Fault]),
}

impl Weather {
    /// The faults that there are for some seeds.
    pub(crate) fn faults(self) -> &'static [Fault] {
        match self {
            Self::Any => &Fault::ALL,
            Self::Only(faults) => faults,
        }
    }
}

impl Scenario {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let random = &mut Random::new(seed);
        let pollers = 1 + size(random.below(3));
        let hosting = match random.below(6) {
            0 if pollers == 1 => Hosting::Auto,
            1 if pollers == 1 => Hosting::Inline,
            _ => Hosting::Thread,
        };
        let ring_records = [32, 64, 256, RING_RECORDS][size(random.below(4))];
        let balance = match random.below(3) {
            0 => LoadBalance::RoundRobin,
            1 => LoadBalance::Random,
            _ => LoadBalance::LeastConnections,
        };
        let runtime = RuntimeOptions {
            pollers,
            ring_records,
            hosting,
            balance,
        };
        let is_bulky = random.below(8) == 0;
        // Little memory, most of which somebody else has or, in bulk, output that waits for both
        // ends of the same runtime; or enough.
        let (chunks, ballast) = match random.below(4) {
            0 if is_bulky => (1, random.below(4)),
            0 => (1, 4 + random.below(12)),
            _ => (64, 0),
        };
        let purpose = [Purpose::Input, Purpose::Any][size(random.below(2))];
        let faults = Arc::new(choose_faults(seed, weather, is_bulky, random));
        let count = if is_bulky { 4 } else { 4 + random.below(17) };
        let listener_window = choose_window(random);
        let places = (random.below(4) == 0).then(|| 1 + small(random.below(count)));
        let is_long = random.below(8) == 0;
        let pairs = (0..count).map(|_| choose_pair(listener_window, random));
        let pairs: Vec<_> = pairs.collect();
        let steps = choose_steps(pairs.len(), is_bulky, random);
        Self {
            runtime,
            chunks,
            ballast: (size(ballast), purpose),
            faults,
            places,
            is_long,
            pairs,
            steps,
        }
    }
}

fn choose_faults(seed: u64, weather: Weather, is_bulky: bool, random: &mut Random) -> Faults {
    let output = (is_bulky || random.below(3) == 0).then(|| 4096 << random.below(5));
    // So small that a peer is held up, or so large that a turn cannot read all of it.
    let input = is_bulky.then(|| [64 << 10, 1 << 20][size(random.below(2))]);
    let faults = Faults::new(seed).with_buffers(output, input);
    if let Weather::Only(kinds) = weather {
        let rate = [50, 200, 600][size(random.below(3))] / kinds.len() as u64;
        return kinds
            .iter()
            .fold(faults, |faults, &kind| faults.with(kind, rate));
    }
    // Pieces that get through whole find other bugs than short ones, so that any may be missing.
    let mut often = || [0, 20, 100, 250][size(random.below(4))];
    let faults = faults
        .with(Fault::ShortRead, often())
        .with(Fault::ShortWrite, often())
        .with(Fault::Again, often())
        .with(Fault::Interrupted, often());
    let faults = match random.below(4) {
        0 => faults.with(Fault::Reset, 2),
        1 => faults.with(Fault::Reset, 20),
        _ => faults,
    };
    match random.below(8) {
        0 => faults.with(Fault::Exhausted, 60).with(Fault::Aborted, 100),
        2 => faults.with(Fault::Unwatched, 60),
        1 => faults.with(Fault::NoMemory, 60).with(Fault::Aborted, 100),
        _ => faults,
    }
}

fn choose_window(random: &mut Random) -> u32 {
    match random.below(3) {
        0 => u32::MAX,
        1 => 1 + small(random.below(1000)),
        _ => 1 + small(random.below(60_000)),
    }
}

fn choose_pair(listener_window: u32, random: &mut Random) -> PairPlan {
    let mut end = |window| EndPlan {
        window,
        widens: random.below(4) > 0,
        keeps: size(random.below(2) * random.below(20)),
        on_end: [None, None, Some(Act::Close(0)), Some(Act::CloseWrite)][size(random.below(4))],
        ending: choose_ending(random),
    };
    let ends = [end(u32::MAX), end(listener_window)];
    let [dialed, accepted] = ends;
    let window = choose_window(random);
    PairPlan {
        is_foreign: random.below(3) == 0,
        is_unix: random.below(3) == 0,
        ends: [EndPlan { window, ..dialed }, accepted],
    }
}

fn choose_ending(random: &mut Random) -> Act {
    match random.below(8) {
        0 => Act::Destroy,
        1 => Act::Reset,
        2 => Act::Close(1 + small(random.below(60))),
        _ => Act::Close(0),
    }
}

fn choose_steps(pairs: usize, is_bulky: bool, random: &mut Random) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut opened = 0;
    let count = pairs as u64 * (6 + random.below(14));
    // Much work without a look, so that rings fill up; or looks after each step.
    let looks = [1, 2, 6, 50][size(random.below(4))];
    while opened < pairs || (steps.len() as u64) < count {
        if opened < pairs && (opened == 0 || random.below(4) == 0) {
            steps.push(Step::Open(opened));
            if random.below(4) == 0 {
                steps.push(Step::Shut(opened));
            }
            opened += 1;
        } else {
            steps.push(Step::Act {
                pair: size(random.below(opened as u64)),
                side: size(random.below(2)),
                act: choose_act(is_bulky, random),
            });
        }
        match random.below(60) {
            0 => steps.push(Step::DialRefused),
            1 => steps.push(Step::DialSilent),
            2 => steps.push(Step::Cancel),
            _ => {}
        }
        if looks > 2 && random.below(8) == 0 {
            // What is told fills the ring to its last record.
            steps.extend([Step::Acknowledge, Step::HandOver]);
        }
        if random.below(looks) == 0 {
            steps.push(Step::Look(random.below(4) * random.below(100)));
        }
    }
    if is_bulky {
        for pair in 0..pairs {
            steps.extend(choose_jam(pair, random));
        }
    }
    if looks > 2 {
        steps.extend([Step::Acknowledge, Step::HandOver].repeat(3));
    }
    steps
}

/// One end has more to send than the kernel takes, and the other one does not read.
fn choose_jam(pair: usize, random: &mut Random) -> Vec<Step> {
    let side = size(random.below(2));
    let act = |side, act| Step::Act { pair, side, act };
    let (bytes, pieces) = (1 << 20, 1);
    let mut steps = vec![
        act(1 - side, Act::Pause),
        act(side, Act::Write { bytes, pieces }),
    ];
    match random.below(3) {
        0 => steps.push(act(side, Act::Close(1 + small(random.below(60))))),
        1 => steps.push(act(side, Act::CloseWrite)),
        _ => steps.extend([
            act(side, Act::CloseWrite),
            Step::Look(100),
            act(1 - side, Act::CloseWrite),
        ]),
    }
    steps
}

fn choose_act(is_bulky: bool, random: &mut Random) -> Act {
    match random.below(100) {
        0..46 => Act::Write {
            bytes: 1 + size(random.below_magnitude(if is_bulky { 20 } else { 15 })),
            pieces: 1 + size(random.below(2) * random.below(100)),
        },
        46..54 => Act::Pause,
        54..62 => Act::Resume,
        62..70 => Act::Widen(small(random.below_magnitude(18))),
        70..74 => Act::Fill {
            bytes: 1 + size(random.below_magnitude(17)),
            behind: random.below(2) * random.below(200),
        },
        74..78 => Act::Idle(choose_time(random)),
        78..82 => Act::Acknowledge,
        82..86 => Act::Probe,
        86..90 => Act::Release,
        90..94 => Act::CloseWrite,
        _ => choose_ending(random),
    }
}

fn choose_time(random: &mut Random) -> u32 {
    match random.below(6) {
        0 => 0,
        1 => 3_600_000,
        _ => 1 + small(random.below(40)),
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap()
}
