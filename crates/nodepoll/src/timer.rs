use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::key::Key;

/// Deadlines of a driver, soonest first.
///
/// An entry is a hint, not a promise: its owner keeps the deadline that counts, may move or drop it
/// without coming here, and is asked when the entry is due. So a timer that outlives its connection
/// finds nobody, and never the next tenant of the slot.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Key)>>,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Instant, key: Key) {
        self.heap.push(Reverse((at, key)));
    }

    /// Takes one entry that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Key> {
        let &Reverse((at, key)) = self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some(key)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    /// Time until the soonest entry, rounded up so that a wait never ends just before it.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.next()?.saturating_duration_since(now);
        Some(wait.checked_add(Duration::from_micros(999)).unwrap_or(wait))
    }
}
