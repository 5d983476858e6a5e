use std::fmt;

use linkbuf::sync::{AtomicI32, AtomicU32, Ordering};

use crate::record::RECORD_WORDS;
pub use crate::sys::words::Words;

/// A bounded queue of records with one producer and one consumer, in memory both sides see.
///
/// Positions count records since the start and wrap at 2³²; a record lies at its position modulo
/// the capacity. Producer and consumer may each be several threads, one after the other, as long
/// as something else (a lock) makes them take turns: the driver's end belongs to whoever holds the
/// driver's lock.
///
/// ```text
///        head              tail
///   free  │ published, unread │  free, being written
///  ───────▼───────────────────▼──────────────────────
///         consumer moves it   producer moves it
/// ```
pub struct Ring {
    words: Words,
    capacity: u32,
    head: AtomicU32,
    tail: AtomicU32,
}

impl Ring {
    /// A ring over `words`, whose length decides the capacity.
    ///
    /// # Panics
    /// If the number of records is not a power of two.
    #[must_use]
    pub fn new(words: Words) -> Self {
        let records = words.len() / RECORD_WORDS;
        assert!(
            records.is_power_of_two(),
            "a ring has a power of two of records"
        );
        let capacity = u32::try_from(records).expect("a ring is far below 2^32 records");
        Self {
            words,
            capacity,
            head: AtomicU32::new(0),
            tail: AtomicU32::new(0),
        }
    }

    /// Records that fit in.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The words of the record at `position`.
    #[must_use]
    pub fn record(&self, position: u32) -> &[AtomicI32] {
        let first = (position & (self.capacity - 1)) as usize * RECORD_WORDS;
        self.words.range(first, RECORD_WORDS)
    }

    /// Copies a record out.
    #[must_use]
    pub fn read(&self, position: u32) -> [i32; RECORD_WORDS] {
        let words = self.record(position);
        // Relaxed: `tail` was loaded with acquire before, and published the words.
        std::array::from_fn(|index| words[index].load(Ordering::Relaxed))
    }

    /// The consumer's position: all before it may be overwritten.
    #[must_use]
    pub fn head(&self) -> u32 {
        // Acquire: pairs with `consume`, so that the producer overwrites a record only after the
        // consumer has read it.
        self.head.load(Ordering::Acquire)
    }

    /// The producer's position: all before it may be read.
    #[must_use]
    pub fn tail(&self) -> u32 {
        // Acquire: pairs with `publish`, so that the words of a record are there with it.
        self.tail.load(Ordering::Acquire)
    }

    /// Whether nothing is published and unread.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tail() == self.head()
    }

    /// The producer publishes all records before `tail`.
    pub fn publish(&self, tail: u32) {
        self.tail.store(tail, Ordering::Release);
    }

    /// The consumer has read all records before `head`.
    pub fn consume(&self, head: u32) {
        self.head.store(head, Ordering::Release);
    }

    /// Whether `head` lies between what was consumed and what was published.
    #[must_use]
    pub fn holds(&self, head: u32) -> bool {
        let unread = self.tail().wrapping_sub(self.head());
        head.wrapping_sub(self.head()) <= unread
    }

    /// Whether a producer may publish `tail`: not behind the last one, not beyond the capacity.
    #[must_use]
    pub fn fits(&self, tail: u32) -> bool {
        let used = tail.wrapping_sub(self.head());
        used <= self.capacity && used >= self.tail().wrapping_sub(self.head())
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity)
            .field("head", &self.head())
            .field("tail", &self.tail())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn ring_at(records: usize, position: u32) -> Ring {
        let ring = Ring::new(Words::boxed(records * RECORD_WORDS));
        ring.publish(position);
        ring.consume(position);
        ring
    }

    proptest! {
        #[test]
        fn h89_records_come_out_as_they_went_in_also_where_positions_wrap(
            log2 in 0_u32..6,
            start in prop_oneof![Just(0_u32), u32::MAX - 70..=u32::MAX],
            steps in prop::collection::vec((any::<bool>(), 0_u32..40), 1..80),
        ) {
            let ring = ring_at(1 << log2, start);
            let capacity = ring.capacity();
            let mut model = VecDeque::new();
            let mut next = 0_i32;
            for (produces, count) in steps {
                let used = u32::try_from(model.len()).unwrap();
                if produces {
                    let tail = ring.tail().wrapping_add(count);
                    prop_assert_eq!(ring.fits(tail), used + count <= capacity);
                    if !ring.fits(tail) {
                        continue;
                    }
                    for _ in 0..count {
                        let position = start.wrapping_add(next.cast_unsigned());
                        for word in ring.record(position) {
                            word.store(next, Ordering::Relaxed);
                        }
                        model.push_back(next);
                        next += 1;
                    }
                    ring.publish(tail);
                } else {
                    let head = ring.head().wrapping_add(count);
                    prop_assert_eq!(ring.holds(head), count <= used);
                    if !ring.holds(head) {
                        continue;
                    }
                    for position in 0..count {
                        let record = ring.read(ring.head().wrapping_add(position));
                        prop_assert_eq!(record, [model.pop_front().unwrap(); RECORD_WORDS]);
                    }
                    ring.consume(head);
                }
                prop_assert_eq!(ring.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_producer_may_not_step_back_nor_a_consumer_ahead() {
        for start in [0, u32::MAX - 1] {
            let ring = ring_at(4, start);
            ring.publish(start.wrapping_add(2));
            assert!(ring.fits(start.wrapping_add(2)) && ring.fits(start.wrapping_add(4)));
            assert!(!ring.fits(start.wrapping_add(1)) && !ring.fits(start.wrapping_add(5)));
            assert!(ring.holds(start) && ring.holds(start.wrapping_add(2)));
            assert!(!ring.holds(start.wrapping_add(3)) && !ring.holds(start.wrapping_sub(1)));
        }
    }

    #[test]
    #[should_panic(expected = "a power of two of records")]
    fn a_ring_of_three_records_is_refused() {
        let _ = Ring::new(Words::boxed(3 * RECORD_WORDS));
    }
}
