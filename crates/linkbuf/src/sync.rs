//! Shared-memory primitives: those of `std`, or loom's models of them under `cfg(loom)`, so that
//! loom tests the types that are shipped.
//!
//! Not part of the public interface; the crates of this workspace take their atomics from here.

#[cfg(loom)]
pub use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    },
};
#[cfg(not(loom))]
pub use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    },
};

/// Tells loom when a node's bytes are read and when they become somebody else's, which it cannot
/// see as they are plain memory. Nothing, and of no size, without loom.
#[derive(Default)]
pub(crate) struct Access {
    #[cfg(loom)]
    cell: loom::cell::UnsafeCell<()>,
}

#[cfg_attr(
    not(loom),
    expect(clippy::unused_self, reason = "without loom there is nothing to tell")
)]
impl Access {
    /// Every reader must happen before the next owner.
    #[inline]
    pub(crate) fn read(&self) {
        #[cfg(loom)]
        self.cell.with(|_| ());
    }

    /// The range has a new owner: nobody else may be reading.
    #[inline]
    pub(crate) fn own(&self) {
        #[cfg(loom)]
        self.cell.with_mut(|_| ());
    }
}
