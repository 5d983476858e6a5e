use crate::event::Event;
use crate::ring::Ring;

/// The driver's end of its event ring: what it has posted, and what it has published of that.
#[derive(Debug, Default)]
pub(crate) struct EventSink {
    tail: u32,
    published: u32,
    /// The host's position as far as it is known here; looked up again only when room runs out.
    head: u32,
}

impl EventSink {
    /// Whether so many records can still be posted.
    pub(crate) fn has_room(&mut self, ring: &Ring, records: u32) -> bool {
        if self.known_room(ring) < records {
            self.head = ring.head();
        }
        self.known_room(ring) >= records
    }

    /// Posts an event; the host sees it after [`publish`](Self::publish).
    pub(crate) fn post(&mut self, ring: &Ring, event: &Event) {
        use linkbuf::sync::Ordering::Relaxed;

        assert!(
            self.has_room(ring, 1),
            "room is looked for before an event is posted"
        );
        for (word, value) in ring.record(self.tail).iter().zip(event.encode()) {
            // Relaxed: `publish` releases them.
            word.store(value, Relaxed);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Publishes what was posted. Whether there was anything.
    pub(crate) fn publish(&mut self, ring: &Ring) -> bool {
        if self.tail == self.published {
            return false;
        }
        self.published = self.tail;
        ring.publish(self.tail);
        true
    }

    fn known_room(&self, ring: &Ring) -> u32 {
        ring.capacity() - self.tail.wrapping_sub(self.head)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::record::RECORD_WORDS;
    use crate::ring::Words;

    fn event(number: u32) -> Event {
        Event::DialFailed {
            dial: number,
            errno: -1,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Post,
        Publish,
        Consume(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => Just(Step::Post),
            2 => Just(Step::Publish),
            2 => (1_u32..20).prop_map(Step::Consume),
        ]
    }

    proptest! {
        #[test]
        fn h51_what_is_posted_comes_out_once_and_in_order(
            log2 in 0_u32..6,
            start in prop_oneof![Just(0_u32), u32::MAX - 70..=u32::MAX],
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let ring = Ring::new(Words::boxed(RECORD_WORDS << log2));
            ring.publish(start);
            ring.consume(start);
            let mut sink = EventSink {
                tail: start,
                published: start,
                head: start,
            };
            let (mut unpublished, mut published) = (VecDeque::new(), VecDeque::new());
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Post => {
                        if unpublished.len() + published.len() < 1 << log2 {
                            // Panics if it sees less room than there is.
                            sink.post(&ring, &event(next));
                            unpublished.push_back(next);
                            next += 1;
                        }
                    }
                    Step::Publish => {
                        prop_assert_eq!(sink.publish(&ring), !unpublished.is_empty());
                        published.append(&mut unpublished);
                    }
                    Step::Consume(count) => {
                        for _ in 0..count.min(u32::try_from(published.len()).unwrap()) {
                            let seen = Event::decode(ring.read(ring.head()));
                            prop_assert_eq!(seen, published.pop_front().map(event));
                            ring.consume(ring.head().wrapping_add(1));
                        }
                    }
                }
                let unread = ring.tail().wrapping_sub(ring.head());
                prop_assert_eq!(unread as usize, published.len());
            }
        }
    }

    #[test]
    #[should_panic(expected = "room is looked for")]
    fn h58_an_event_never_overwrites_one_that_is_unread() {
        let ring = Ring::new(Words::boxed(2 * RECORD_WORDS));
        let mut sink = EventSink::default();
        for number in 0..3 {
            sink.post(&ring, &event(number));
        }
    }
}
