use linkbuf::sync::{AtomicBool, Ordering, fence};

/// The thread that uses a runtime, as its pollers see it.
pub trait Host: Send + Sync {
    /// Makes the host call [`take_over`](crate::Runtime::take_over), if it turns drivers itself,
    /// and [`exchange`](crate::Runtime::exchange) soon. Called from any thread, at most once
    /// between two announcements of idleness and once for a driver that is offered, and must not
    /// block.
    fn wake(&self);
}

/// The way from the pollers to their host: one wake-up a batch, none while the host is awake.
///
/// Lost wake-ups are the danger: the host finds no event and goes idle just as a poller posts one
/// and still sees it awake. Each side stores its own mark and then looks at the other's, with a
/// sequentially consistent fence between the two, so that at least one of them sees the other.
#[derive(Debug)]
pub struct Bell {
    idle: AtomicBool,
}

impl Bell {
    /// A bell whose host is idle: the first event rings it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: AtomicBool::new(true),
        }
    }

    /// The host says that it is about to go idle. It must look for events once more afterwards,
    /// and [retract](Self::retract) if it finds one.
    pub fn announce_idle(&self) {
        // Relaxed: the fence orders this store before the look that follows.
        self.idle.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The host is awake after all, or again.
    pub fn retract(&self) {
        // Relaxed: a poller that still sees `true` rings once too often, which does no harm.
        self.idle.store(false, Ordering::Relaxed);
    }

    /// The host is awake, and was not before.
    pub fn wake_up(&self) -> bool {
        // Relaxed: as in `retract`.
        self.idle.swap(false, Ordering::Relaxed)
    }

    /// Whether the host must be woken for what has just been published. True for one caller only.
    pub fn claim(&self) -> bool {
        // The fence orders the publication before the look at the host's mark.
        fence(Ordering::SeqCst);
        // Relaxed both: the mark carries no data, events are published by their ring.
        self.idle.load(Ordering::Relaxed) && self.idle.swap(false, Ordering::Relaxed)
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}
