use std::time::{Duration, Instant};

/// A time that is shorter tells nothing of what comes too early: a driver that waits for the
/// processor counts from before it waited.
const JUDGED: Duration = Duration::from_millis(20);

/// Such a time is not over in any test.
const NEVER: Duration = Duration::from_secs(60);

/// What the host has asked to be told of: a time without a byte.
#[derive(Default)]
pub(crate) struct Silence {
    /// The times that it may be told of, in milliseconds. Only the last one counts once the driver
    /// knows of it.
    asked: Vec<u32>,
}

impl Silence {
    /// Asks for `millis`, or a little more: so that what is told answers one question only. What
    /// it has come to.
    pub(crate) fn ask(&mut self, mut millis: u32) -> u32 {
        while millis > 0 && self.asked.contains(&millis) {
            millis += 1;
        }
        self.asked.push(millis);
        millis
    }

    /// It was told. Whether somebody has asked for that, and not been told before.
    pub(crate) fn told(&mut self, millis: u32) -> bool {
        let is_it = |&asked: &u32| asked == millis && asked > 0;
        let found = self.asked.iter().position(is_it);
        if let Some(index) = found {
            // Those before it were over by then.
            self.asked.drain(..=index);
        }
        found.is_some()
    }

    /// Whether it is to be told of something soon, if nothing comes or goes.
    pub(crate) fn is_awaited(&self) -> bool {
        let is_soon = |&millis: &u32| millis > 0 && !is_never(millis);
        self.asked.last().is_some_and(is_soon)
    }
}

/// Whether `millis` are told to be over, or are, much too early.
pub(crate) fn is_early(since: Instant, millis: u32) -> bool {
    let time = Duration::from_millis(millis.into());
    assert!(!is_never(millis), "{time:?} are not over");
    time >= JUDGED && since.elapsed() < time / 2
}

fn is_never(millis: u32) -> bool {
    Duration::from_millis(millis.into()) >= NEVER
}

/// When what was written was written.
pub(crate) struct Diary {
    /// Positions of the stream, and when what ends there was written.
    entries: Vec<(u64, Instant)>,
}

impl Diary {
    pub(crate) fn new() -> Self {
        let entries = vec![(0, Instant::now())];
        Self { entries }
    }

    pub(crate) fn note(&mut self, end: u64, at: Instant) {
        self.entries.push((end, at));
    }

    /// A time before which the byte in front of `position` was neither sent nor received.
    pub(crate) fn written_at(&self, position: u64) -> Instant {
        let index = self.entries.partition_point(|&(end, _)| end < position);
        let &(_, at) = self.entries.get(index).expect("what was sent was written");
        at
    }
}
