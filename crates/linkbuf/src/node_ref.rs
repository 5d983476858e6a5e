use crate::arena_core::ArenaCore;
use crate::node_header::NodeHeader;
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;

/// One reference to a live node; dropping it ends the reference.
///
/// The memory outlives it: as long as a node lives, its arena holds a reference to itself (see
/// `ArenaCore`), or its box is not freed; and a node lives as long as a reference to it does.
pub(crate) struct NodeRef {
    header: NonNull<NodeHeader>,
}

impl NodeRef {
    /// Makes a node of a box of bytes, all of them written. It is in no arena.
    pub(crate) fn own(bytes: Box<[u8]>, len: u32) -> Self {
        Self {
            header: NodeHeader::own(bytes, len),
        }
    }

    /// Takes over a reference to a node of an arena that was counted.
    ///
    /// # Safety
    /// The node must be live and in an arena, and one of its references must belong to the
    /// caller, who gives it away with this call.
    pub(crate) unsafe fn from_counted(header: &NodeHeader) -> Self {
        Self {
            header: NonNull::from(header),
        }
    }

    /// Turns the reference into a lease.
    pub(crate) fn into_lease(self) {
        self.count().reference_to_lease();
        std::mem::forget(self);
    }

    pub(crate) fn is_same_node(&self, other: &Self) -> bool {
        self.header == other.header
    }

    /// The bytes of a range of the chunk.
    ///
    /// # Safety
    /// The range must lie between the node's start and its `written`.
    #[inline]
    pub(crate) unsafe fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        self.access().read();
        // SAFETY: by contract the range lies in the node and so in the chunk, which is one
        // allocation, valid for reads and initialised as long as this reference lives.
        let start = unsafe { self.base().add(offset as usize) };
        // SAFETY: the bytes are valid and initialised as above. They are not written while the
        // slice lives: below `written` the node's writer never writes again before it has begun
        // again at the start, nobody else gets `&mut` to them before the node has ended, both of
        // which this reference prevents, and the holder of a chunk's raw memory has promised not
        // to. The borrow of `self` ends first.
        unsafe { slice::from_raw_parts(start.as_ptr(), len as usize) }
    }

    /// The bytes of a range of the chunk, to be written.
    ///
    /// # Safety
    /// The range must lie between the node's `written` and its end, and the caller must be the
    /// node's only writer.
    #[inline]
    pub(crate) unsafe fn bytes_mut(&mut self, offset: u32, len: u32) -> &mut [u8] {
        // SAFETY: by contract the range lies in the node and so in the chunk, which is one
        // allocation, valid for writes and initialised as long as this reference lives.
        let start = unsafe { self.base().add(offset as usize) };
        // SAFETY: the bytes are valid and initialised as above. No other slice covers them:
        // slices for reading end at `written`, other nodes have disjoint ranges, and the one
        // writer is borrowed mutably for as long as the slice lives.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len as usize) }
    }
}

impl Clone for NodeRef {
    #[inline]
    fn clone(&self) -> Self {
        self.count().add_reference();
        // The pointer is copied, not made anew of a borrow of the header: a box can be freed
        // only by a pointer that may reach all of it.
        Self {
            header: self.header,
        }
    }
}

impl Deref for NodeRef {
    type Target = NodeHeader;

    #[inline]
    fn deref(&self) -> &NodeHeader {
        // SAFETY: the header belongs to a live node, as this is a reference to it. One in an
        // arena keeps that alive, which frees its headers only when it is dropped; one that is
        // a box of its own is freed with its last reference. Headers change through atomics only.
        unsafe { self.header.as_ref() }
    }
}

impl Drop for NodeRef {
    #[inline]
    fn drop(&mut self) {
        let (origin, id) = (self.origin(), self.id());
        if !self.count().drop_reference() {
            return;
        }
        match origin {
            // SAFETY: this reference was the node's last, so this is the one call for it.
            Some(arena) => unsafe { free(arena, id) },
            // SAFETY: as above; and a header without an arena is one that `own` has made, whose
            // pointer has been copied from reference to reference since.
            None => unsafe { NodeHeader::free_own(self.header) },
        }
    }
}

/// Frees a node of an arena. It is not passed its header, as that may be gone before this returns.
///
/// # Safety
/// The node's last reference must have ended, in the hands of the caller, who calls this once.
#[cold]
unsafe fn free(arena: NonNull<ArenaCore>, id: u32) {
    // SAFETY: until `free` has been called for it, a node keeps its arena alive. What `free`
    // answers keeps it alive until after the last use of the reference made here.
    let freed = unsafe { arena.as_ref() }.free(id);
    freed.settle();
}

// SAFETY: the header's mutable parts are atomics; its pointers are to memory that any thread may
// use. Which thread drops the last reference does not matter to the arena.
unsafe impl Send for NodeRef {}
// SAFETY: a shared `NodeRef` allows to count, which is atomic, and to read bytes that nobody
// writes while a reference lives.
unsafe impl Sync for NodeRef {}
