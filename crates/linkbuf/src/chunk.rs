use std::ptr::{self, NonNull};

/// Memory that an [`Arena`](crate::Arena) carves nodes from.
///
/// The arena owns a chunk from [`grant`](crate::Arena::grant) on. It lets go of it when the last
/// clone of the arena, the last [`Node`](crate::Node) and the last [`Segment`](crate::Segment)
/// are dropped, not before.
///
/// ```
/// use linkbuf::{Arena, CHUNK_BYTES, Chunk};
///
/// let arena = Arena::new(CHUNK_BYTES);
/// assert_eq!(arena.grant(Chunk::boxed(CHUNK_BYTES)), Ok(0));
/// ```
#[derive(Debug)]
pub struct Chunk {
    base: NonNull<u8>,
    len: usize,
    /// Whether the memory is a `Box<[u8]>` that this chunk must drop.
    boxed: bool,
}

impl Chunk {
    /// Allocates a chunk of zeros. The pages are touched only when they are used.
    #[must_use]
    pub fn boxed(len: usize) -> Self {
        let base = NonNull::from(Box::leak(vec![0; len].into_boxed_slice())).cast();
        Self {
            base,
            len,
            boxed: true,
        }
    }

    /// Makes a chunk of memory that somebody else owns.
    ///
    /// # Safety
    /// The `len` bytes at `ptr` must be one allocation, initialised, and valid for reads and
    /// writes from any thread until every clone of the [`Arena`](crate::Arena) it is granted to,
    /// every [`Node`](crate::Node) and every [`Segment`](crate::Segment) of it are dropped.
    /// Until then nobody else may write to them, except the holder of a lease that covers a
    /// whole node ([`lease_node`](crate::Arena::lease_node)): it may write the bytes whose
    /// leases it has not given back.
    #[must_use]
    pub unsafe fn from_raw(ptr: NonNull<u8>, len: usize) -> Self {
        Self {
            base: ptr,
            len,
            boxed: false,
        }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.boxed {
            let memory = ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len);
            // SAFETY: `boxed` is set only in `boxed`, where base and length were taken from a
            // `Box<[u8]>`, and neither changes. This is the only place that makes it a box
            // again, once, as the chunk is being dropped. The arena drops a chunk when no node
            // is left, so no slice into it exists.
            drop(unsafe { Box::from_raw(memory) });
        }
    }
}

// SAFETY: the memory is owned by the chunk or, by the contract of `from_raw`, valid for reads and
// writes from any thread; nothing in the chunk is bound to the thread that made it.
unsafe impl Send for Chunk {}
// SAFETY: a shared chunk gives out only its address and length, which never change.
unsafe impl Sync for Chunk {}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_boxed_chunk_is_zeroed_memory_of_its_length() {
        let chunk = Chunk::boxed(8192);
        // SAFETY: a boxed chunk owns `len` initialised bytes at `base`, and nothing writes them
        // while the slice is alive.
        let bytes = unsafe { std::slice::from_raw_parts(chunk.base().as_ptr(), chunk.len()) };
        assert_eq!(bytes, [0; 8192]);
    }

    #[test]
    fn a_raw_chunk_leaves_its_memory_to_its_owner() {
        let mut memory = vec![7_u8; 4096];
        let base = NonNull::new(memory.as_mut_ptr()).unwrap();
        // SAFETY: `memory` outlives the chunk, is initialised, and is not touched before the
        // chunk is gone.
        drop(unsafe { Chunk::from_raw(base, 4096) });
        assert_eq!(memory, [7; 4096]);
    }
}
