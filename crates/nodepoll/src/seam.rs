use linkbuf::sync::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use linkbuf::Arena;
use linkbuf::sync::fence;

use crate::bell::{Bell, Host};
use crate::counters::SharedCounters;
use crate::limits::EVENTS_RESERVED;
use crate::mailbox::{Mailbox, Parcel};
use crate::parking::Parking;
use crate::ring::Ring;

/// All that the host and other drivers share with one driver. None of it needs the driver's lock.
pub(crate) struct Seam {
    pub(crate) commands: Ring,
    pub(crate) events: Ring,
    pub(crate) arena: Arena,
    pub(crate) parking: Parking,
    pub(crate) mailbox: Mailbox,
    pub(crate) counters: SharedCounters,
    bell: Arc<Bell>,
    host: Arc<dyn Host>,
    waker: mio::Waker,
    /// Sockets wait for room in the event ring.
    stalled: AtomicBool,
    /// Memory has come back since a socket began to wait for it.
    memory: AtomicBool,
    stopping: AtomicBool,
    failed: AtomicBool,
    /// Connections and dials that were given to this driver and are not freed.
    load: AtomicUsize,
    /// Times that the poller was woken.
    poller_wakeups: AtomicUsize,
}

impl Seam {
    pub(crate) fn new(
        commands: Ring,
        events: Ring,
        arena: Arena,
        bell: Arc<Bell>,
        host: Arc<dyn Host>,
        waker: mio::Waker,
    ) -> Self {
        Self {
            commands,
            events,
            arena,
            parking: Parking::new(),
            mailbox: Mailbox::default(),
            counters: SharedCounters::default(),
            bell,
            host,
            waker,
            stalled: AtomicBool::new(false),
            memory: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            load: AtomicUsize::new(0),
            poller_wakeups: AtomicUsize::new(0),
        }
    }

    /// Wakes the poller if it sleeps, so that it sees what has just been published.
    pub(crate) fn wake_poller(&self) {
        if self.parking.claim() {
            self.poller_wakeups.fetch_add(1, Ordering::Relaxed);
            // It fails only when the kernel's counter is full, that is when a wake-up is pending.
            let _ = self.waker.wake();
        }
    }

    pub(crate) fn poller_wakeups(&self) -> usize {
        self.poller_wakeups.load(Ordering::Relaxed)
    }

    /// Wakes the host if it sleeps, so that it sees the events that have just been published.
    pub(crate) fn wake_host(&self) -> bool {
        let claimed = self.bell.claim();
        if claimed {
            self.host.wake();
        }
        claimed
    }

    /// Wakes the host whether it sleeps or not.
    pub(crate) fn call_host(&self) {
        self.host.wake();
    }

    pub(crate) fn deliver(&self, parcel: Parcel) {
        self.mailbox.put(parcel);
        if self.has_failed() {
            self.refuse_parcels();
        }
        self.wake_poller();
    }

    /// Connections and dials that the driver has, or is to get.
    pub(crate) fn load(&self) -> usize {
        // Relaxed, here and below: it is a number to compare by and stands for nothing else.
        self.load.load(Ordering::Relaxed)
    }

    pub(crate) fn add_load(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_load(&self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }

    /// The driver says, before it parks, whether sockets wait for room in the event ring.
    pub(crate) fn announce_stall(&self, waits: bool) {
        // Relaxed: the fence orders this store before the look at the ring that follows.
        self.stalled.store(waits, Ordering::Relaxed);
        if waits {
            fence(Ordering::SeqCst);
        }
    }

    /// Whether the ring has so much room that waiting sockets are read again. Not at the first
    /// free record: the host would wake the poller for each.
    pub(crate) fn has_event_room(&self) -> bool {
        let used = self.events.tail().wrapping_sub(self.events.head());
        used + EVENTS_RESERVED <= self.events.capacity() / 2
    }

    /// The host has read events: wakes the poller if sockets wait for the room.
    pub(crate) fn event_room_made(&self) {
        // The fence orders the host's position before the look at the driver's mark.
        fence(Ordering::SeqCst);
        if self.stalled.load(Ordering::Relaxed) && self.has_event_room() {
            self.wake_poller();
        }
    }

    /// The arena has memory again: wakes the poller, whose sockets may wait for it.
    pub(crate) fn memory_came(&self) {
        self.memory.store(true, Ordering::Relaxed);
        self.wake_poller();
    }

    pub(crate) fn has_memory_come(&self) -> bool {
        self.memory.load(Ordering::Relaxed)
    }

    pub(crate) fn take_memory_came(&self) -> bool {
        self.has_memory_come() && self.memory.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake_poller();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn fail(&self) {
        // Relaxed: the last event, which is published next, releases it, so that whoever sees that
        // one sees the mark; and so does the lock of the mailbox, for whoever brings a parcel too
        // late to be taken out by `refuse_parcels`.
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Nobody takes parcels any more: closes the sockets in them.
    pub(crate) fn refuse_parcels(&self) {
        drop(self.mailbox.take_all());
    }

    pub(crate) fn has_failed(&self) -> bool {
        // Relaxed: see `fail`.
        self.failed.load(Ordering::Relaxed)
    }
}
