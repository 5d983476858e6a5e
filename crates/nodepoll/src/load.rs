use std::time::Instant;

use crate::limits::{HOST_DWELL, LOAD_HIGH, LOAD_LOW, LOAD_SPAN};
use crate::options::Hosting;
use crate::whim::Whim;

/// A unit of the average, so that it can be kept as an integer.
const ONE: u32 = 256;

/// How many sockets are ready when a driver wakes up, on a moving average: what decides whether
/// the host turns it or a thread of its own.
///
/// With few, the way from one thread to the other costs more than the work; with many, it is
/// shared by all of them, and the host has better things to do.
pub(crate) struct Load {
    average: u32,
    switched: Instant,
    /// What decides in its place, in tests.
    whim: Option<Whim>,
}

impl Load {
    pub(crate) fn new(hosting: Hosting) -> Self {
        let whim = match hosting {
            Hosting::Restless(seed) => Some(Whim::new(seed)),
            _ => None,
        };
        Self {
            average: 0,
            switched: Instant::now(),
            whim,
        }
    }

    /// So many sockets were ready.
    pub(crate) fn note(&mut self, sockets: usize) {
        // More than this says no more, and cannot overflow.
        let sockets = u32::try_from(sockets.min(1024)).unwrap_or(1024);
        if sockets > 0 {
            self.average = (self.average * (LOAD_SPAN - 1) + sockets * ONE) / LOAD_SPAN;
        }
    }

    /// The driver has changed hands.
    pub(crate) fn switched(&mut self, now: Instant) {
        self.switched = now;
    }

    /// Whether a thread of its own is better. Asked once a turn, by the host; the time is asked for
    /// only if it matters.
    pub(crate) fn is_high(&mut self, now: impl FnOnce() -> Instant) -> bool {
        match &mut self.whim {
            Some(whim) => whim.strikes(),
            None => self.average >= LOAD_HIGH * ONE && self.has_dwelt(now()),
        }
    }

    /// Whether the host's thread is better. Asked as `is_high` is, by the thread.
    pub(crate) fn is_low(&mut self, now: impl FnOnce() -> Instant) -> bool {
        match &mut self.whim {
            Some(whim) => whim.strikes(),
            None => self.average <= LOAD_LOW * ONE && self.has_dwelt(now()),
        }
    }

    fn has_dwelt(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.switched) >= HOST_DWELL
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_high_after_a_while_with_many_and_low_after_a_while_with_few() {
        let mut load = Load::new(Hosting::Auto);
        let end = Instant::now() + HOST_DWELL;
        let later = || end;
        assert!(load.is_low(later) && !load.is_high(later));
        load.note(60);
        assert!(!load.is_high(later), "once is not enough");
        for _ in 0..8 {
            load.note(60);
        }
        assert!(load.is_high(later) && !load.is_low(later));
        load.note(0);
        assert!(load.is_high(later), "a turn without sockets says nothing");
        for _ in 0..40 {
            load.note(1);
        }
        assert!(load.is_low(later));
    }

    #[test]
    fn between_few_and_many_nothing_changes() {
        let mut load = Load::new(Hosting::Auto);
        let end = Instant::now() + HOST_DWELL;
        let later = || end;
        for _ in 0..100 {
            load.note(10);
        }
        assert!(!load.is_high(later) && !load.is_low(later));
    }

    #[test]
    fn a_driver_that_has_just_changed_hands_stays() {
        let mut load = Load::new(Hosting::Auto);
        let now = Instant::now();
        load.switched(now);
        for _ in 0..100 {
            load.note(usize::MAX);
        }
        assert!(!load.is_high(|| now));
        assert!(load.is_high(|| now + HOST_DWELL));
    }
}
