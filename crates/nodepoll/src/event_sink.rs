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
    /// Records that can still be posted.
    pub(crate) fn room(&mut self, ring: &Ring) -> u32 {
        let room = self.known_room(ring);
        if room > ring.capacity() / 2 {
            return room;
        }
        self.head = ring.head();
        self.known_room(ring)
    }

    /// Posts an event; the host sees it after [`publish`](Self::publish).
    pub(crate) fn post(&mut self, ring: &Ring, event: &Event) {
        use linkbuf::sync::Ordering::Relaxed;

        assert!(
            self.room(ring) > 0,
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
