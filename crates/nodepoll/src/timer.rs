use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::key::Key;
use crate::limits::TIMERS_SPARE;
use crate::moment::Moment;

/// Deadlines of a driver, soonest first.
///
/// An entry is a hint, not a promise: its owner keeps the deadline that counts, may move or drop it
/// without coming here, and is asked when the entry is due. So a timer that outlives its connection
/// finds nobody, and never the next tenant of the slot.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, Key)>>,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Moment, key: Key) {
        self.heap.push(Reverse((at, key)));
    }

    /// Takes one entry that is due.
    pub(crate) fn due(&mut self, now: Moment) -> Option<Key> {
        let &Reverse((at, key)) = self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some(key)
    }

    /// Forgets entries whose owners are gone, once they are the most of them.
    pub(crate) fn forget(&mut self, living: usize, lives: impl Fn(Key) -> bool) {
        if self.heap.len() > TIMERS_SPARE + 4 * living {
            self.heap.retain(|&Reverse((_, key))| lives(key));
        }
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    /// Time until the soonest entry, rounded up so that a wait never ends just before it.
    pub(crate) fn wait(&self, now: Moment) -> Option<Duration> {
        let wait = self.next()?.saturating_duration_since(now);
        Some(wait.checked_add(Duration::from_micros(999)).unwrap_or(wait))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slotmap::SlotMap;

    use super::*;

    proptest! {
        #[test]
        fn h68_h91_each_entry_is_due_once_and_none_early(
            steps in prop::collection::vec((prop::option::of(0_u64..5_000), 0_u64..500), 1..100),
        ) {
            let mut rows = SlotMap::<Key, ()>::with_key();
            let keys: Vec<Key> = (0..4).map(|_| rows.insert(())).collect();
            let mut now = Moment::now();
            let mut timers = Timers::default();
            let mut model: Vec<(Moment, Key)> = Vec::new();
            for (index, (delay, passing)) in steps.into_iter().enumerate() {
                if let Some(delay) = delay {
                    let entry = (now + Duration::from_micros(delay), keys[index % 4]);
                    timers.arm(entry.0, entry.1);
                    model.push(entry);
                    model.sort_unstable();
                }
                now = now + Duration::from_micros(passing);
                while model.first().is_some_and(|&(at, _)| at <= now) {
                    prop_assert_eq!(timers.due(now), Some(model.remove(0).1));
                }
                prop_assert_eq!(timers.due(now), None);
                prop_assert_eq!(timers.next(), model.first().map(|&(at, _)| at));
            }
        }

        #[test]
        fn h102_a_wait_is_never_shorter_than_what_is_left_and_hardly_longer(
            nanos in 0_u64..5_000_000_000,
            late in any::<bool>(),
        ) {
            let now = Moment::now() + Duration::from_secs(10);
            let span = Duration::from_nanos(nanos);
            let (now, at) = if late { (now + span, now) } else { (now, now + span) };
            let mut timers = Timers::default();
            timers.arm(at, Key::default());
            let wait = timers.wait(now).unwrap();
            let left = at.saturating_duration_since(now);
            prop_assert!(wait >= left, "{wait:?} for {left:?}");
            prop_assert!(wait < left + Duration::from_millis(1), "{wait:?} for {left:?}");
        }
    }

    #[test]
    fn without_entries_there_is_nothing_to_wait_for() {
        let timers = Timers::default();
        assert_eq!((timers.next(), timers.wait(Moment::now())), (None, None));
    }
}
