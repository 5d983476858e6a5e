use crate::buddy::{chunk_of, granule_of, slot_count};
use crate::chunk::Chunk;
use crate::limits::{GRANULE_BITS, GRANULE_BYTES};
use crate::node_header::NodeHeader;
use crate::sync::{AtomicPtr, Ordering};
use std::ptr;

/// Finds the header of a node by its id, without a lock.
///
/// The table never grows and an entry never changes once it is set, so whoever finds an entry may
/// keep a reference to it as long as the table lives.
///
/// ```text
/// entries ─▶ [ 0 ][ 1 ][ null ] …  [ chunks_max - 1 ]
///              └▶ ChunkEntry { memory, headers ─▶ [ granule 0 ][ 1 ] … [ 255 ] }
/// ```
pub(crate) struct ChunkTable {
    entries: Box<[AtomicPtr<ChunkEntry>]>,
}

pub(crate) struct ChunkEntry {
    headers: Box<[NodeHeader]>,
    /// Last, so that it is dropped after the headers that point into it.
    _memory: Chunk,
}

impl ChunkTable {
    pub(crate) fn new(chunks_max: usize) -> Self {
        let empty = || AtomicPtr::new(ptr::null_mut());
        Self {
            entries: std::iter::repeat_with(empty).take(chunks_max).collect(),
        }
    }

    pub(crate) fn chunks_max(&self) -> usize {
        self.entries.len()
    }

    /// Sets an entry. Each index is set once.
    pub(crate) fn publish(&self, chunk_index: u32, entry: ChunkEntry) {
        let entry = Box::into_raw(Box::new(entry));
        // Release: whoever finds the pointer (`entry`) sees the headers complete.
        let before = self.entries[chunk_index as usize].swap(entry, Ordering::Release);
        assert!(before.is_null(), "a chunk index is used once");
    }

    /// The header that an id names, or nothing: the id may be any number.
    #[inline]
    pub(crate) fn header(&self, id: u32) -> Option<&NodeHeader> {
        self.entry(chunk_of(id))?.headers.get(granule_of(id))
    }

    /// All headers, of nodes that live and of granules at rest.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &NodeHeader> {
        (0..self.entries.len())
            .filter_map(|chunk_index| self.entry(chunk_index))
            .flat_map(|entry| entry.headers.iter())
    }

    #[inline]
    fn entry(&self, chunk_index: usize) -> Option<&ChunkEntry> {
        // Acquire: pairs with the release in `publish`, so the headers are seen complete.
        let entry = self.entries.get(chunk_index)?.load(Ordering::Acquire);
        // SAFETY: the pointer is null, which `as_ref` turns into `None`, or `publish` made it
        // from a box and published it complete. Nobody writes to the entry afterwards but
        // through its atomics, and it is freed only when the table is dropped, which the borrow
        // of `self` rules out for as long as the reference is used.
        unsafe { entry.as_ref() }
    }
}

impl Drop for ChunkTable {
    fn drop(&mut self) {
        for entry in &self.entries {
            // Relaxed: `&mut self` means that all other users have been synchronised with.
            let entry = entry.load(Ordering::Relaxed);
            if !entry.is_null() {
                // SAFETY: a pointer that is not null came from `Box::into_raw` in `publish`, is
                // in this table once, and is never given out but as a reference that borrows
                // the table, which `&mut self` shows to be over.
                drop(unsafe { Box::from_raw(entry) });
            }
        }
    }
}

impl ChunkEntry {
    /// Takes the chunk with a header for each granule that a node may start at.
    pub(crate) fn new(memory: Chunk, header: impl Fn(u32) -> NodeHeader, index: u32) -> Self {
        let first = index << GRANULE_BITS;
        let granules = u32::try_from(memory.len() / GRANULE_BYTES);
        let granules = granules.expect("the length of a chunk is limited");
        Self {
            headers: (first..).take(slot_count(granules)).map(header).collect(),
            _memory: memory,
        }
    }
}
