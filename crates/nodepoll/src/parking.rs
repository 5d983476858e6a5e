use linkbuf::sync::{AtomicU8, Ordering, fence};

const AWAKE: u8 = 0;
const PARKED: u8 = 1;
const WOKEN: u8 = 2;

/// The way from the host to a poller: whether it sleeps, and who wakes it.
///
/// The same protocol as [`Bell`](crate::Bell) in the other direction. The poller announces that it
/// parks and then looks for commands once more; the host publishes commands and then looks whether
/// the poller is parked.
#[derive(Debug)]
pub struct Parking {
    state: AtomicU8,
}

impl Parking {
    /// A poller that is awake.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: AtomicU8::new(AWAKE),
        }
    }

    /// The poller says that it is about to sleep. It must look for work once more afterwards, and
    /// [leave](Self::leave) if it finds some.
    pub fn announce(&self) {
        // Relaxed: the fence orders this store before the look that follows.
        self.state.store(PARKED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The poller is awake.
    pub fn leave(&self) {
        // Relaxed: a host that still sees `PARKED` wakes once too often, which does no harm.
        self.state.store(AWAKE, Ordering::Relaxed);
    }

    /// Whether the poller sleeps and nobody has woken it yet.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        // Relaxed: only a hint on which way commands should take.
        self.state.load(Ordering::Relaxed) == PARKED
    }

    /// Whether the poller must be woken for what has just been published. True for one caller a
    /// nap.
    pub fn claim(&self) -> bool {
        // The fence orders the publication before the look at the poller's mark.
        fence(Ordering::SeqCst);
        // Relaxed both: the mark carries no data, commands are published by their ring.
        let swap = |from, to| {
            self.state
                .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        self.is_parked() && swap(PARKED, WOKEN)
    }
}

impl Default for Parking {
    fn default() -> Self {
        Self::new()
    }
}
