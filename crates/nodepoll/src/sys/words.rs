#![expect(
    unsafe_code,
    reason = "memory granted by the host is known by address alone"
)]

use std::ptr::NonNull;
use std::slice;

use linkbuf::sync::AtomicI32;

/// 32-bit words that two threads share: the memory of a ring.
///
/// Either owned, or granted by a host that keeps it alive.
pub struct Words {
    first: NonNull<AtomicI32>,
    len: usize,
    /// Held only to be dropped with them.
    _owned: Option<Box<[AtomicI32]>>,
}

// SAFETY: the words are atomics, so that threads may read and write them at the same time; who
// granted them promised that they stay where they are.
unsafe impl Send for Words {}
// SAFETY: as above: shared access to atomics is what they are for.
unsafe impl Sync for Words {}

impl Words {
    /// Words of our own, all zero.
    #[must_use]
    pub fn boxed(len: usize) -> Self {
        let mut owned: Box<[AtomicI32]> = (0..len).map(|_| AtomicI32::new(0)).collect();
        let first = NonNull::from(&mut *owned).cast();
        Self {
            first,
            len,
            _owned: Some(owned),
        }
    }

    /// Words that somebody else owns.
    ///
    /// # Safety
    /// `first` must be aligned to four bytes and valid for reads and writes of `len` initialised
    /// words until the returned value is dropped, and nobody may touch them by other than atomic
    /// or 32-bit accesses meanwhile.
    #[cfg(not(loom))]
    #[must_use]
    pub unsafe fn from_raw(first: NonNull<i32>, len: usize) -> Self {
        Self {
            first: first.cast(),
            len,
            _owned: None,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words from `first`, `len` of them.
    ///
    /// # Panics
    /// If they are not all within these words.
    #[must_use]
    pub fn range(&self, first: usize, len: usize) -> &[AtomicI32] {
        &self.all()[first..first + len]
    }

    fn all(&self) -> &[AtomicI32] {
        // SAFETY: either `_owned` keeps the words alive and has never been handed out by unique
        // reference, or the promise given to `from_raw` says that they are valid for `len`.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}
