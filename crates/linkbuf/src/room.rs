use crate::sync::Arc;

type Callback = Arc<Box<dyn Fn() + Send + Sync>>;

/// Who is told when an arena that had no room has some again.
///
/// Kept under the arena's lock, so that a failed allocation and the return of memory are in one
/// order: either the allocation finds the memory, or the return finds somebody starving.
#[derive(Default)]
pub(crate) struct Room {
    starving: bool,
    callbacks: Arc<Vec<Callback>>,
}

/// The callbacks that are due. Call them after the lock is released.
#[must_use]
pub(crate) struct Due(Option<Arc<Vec<Callback>>>);

impl Room {
    pub(crate) fn add(&mut self, callback: Box<dyn Fn() + Send + Sync>) {
        let mut callbacks: Vec<Callback> = self.callbacks.iter().map(Arc::clone).collect();
        callbacks.push(Arc::new(callback));
        self.callbacks = Arc::new(callbacks);
    }

    /// Takes all callbacks out, to be dropped after the lock is released: what they captured
    /// is the user's.
    pub(crate) fn clear(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.callbacks)
    }

    pub(crate) fn starve(&mut self) {
        self.starving = true;
    }

    /// Memory came: ends the starvation, if there was one.
    pub(crate) fn end_starvation(&mut self) -> Due {
        let starving = std::mem::take(&mut self.starving);
        Due(starving.then(|| Arc::clone(&self.callbacks)))
    }
}

impl Due {
    pub(crate) fn call(&self) {
        for callback in self.0.iter().flat_map(|callbacks| callbacks.iter()) {
            callback();
        }
    }
}
