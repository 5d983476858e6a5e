use linkbuf::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;

/// The place through which what a driver is turned with passes between its thread and the host.
///
/// Whoever holds the token turns the driver, and there is only one: it can be put down for one
/// side, and nobody else can pick it up. The thread waits for it here, the host never waits.
pub(crate) struct Handover<T> {
    places: Mutex<Places<T>>,
    changed: Condvar,
}

struct Places<T> {
    for_thread: Option<T>,
    for_host: Option<T>,
    is_closed: bool,
}

impl<T> Handover<T> {
    pub(crate) fn new() -> Self {
        let places = Places {
            for_thread: None,
            for_host: None,
            is_closed: false,
        };
        Self {
            places: Mutex::new(places),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn give_to_thread(&self, token: T) {
        self.lock().for_thread = Some(token);
        self.changed.notify_one();
    }

    /// The host is not told: wake it.
    pub(crate) fn give_to_host(&self, token: T) {
        self.lock().for_host = Some(token);
    }

    /// Waits until the token is there for the thread. `None` once the handover is closed.
    pub(crate) fn take_for_thread(&self) -> Option<T> {
        let mut places = self.lock();
        loop {
            if places.is_closed {
                return None;
            }
            if let Some(token) = places.for_thread.take() {
                return Some(token);
            }
            let waited = self.changed.wait(places);
            places = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The token, if it is there for the host.
    pub(crate) fn take_for_host(&self) -> Option<T> {
        self.lock().for_host.take()
    }

    /// Ends the thread's wait, now and for ever.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Places<T>> {
        // Held for a move at most, and nothing in here panics while it is.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
