use crate::arena_core::ArenaCore;
use crate::buddy::granule_of;
use crate::limits::{GRANULE_BYTES, OWN_NODE_ID};
use crate::node_count::NodeCount;
use crate::segment::SegmentId;
use crate::sync::{Access, AtomicU32, Ordering};
use std::ptr::{self, NonNull};

/// What is known of a node, in memory that only Rust can write.
pub(crate) struct NodeHeader {
    count: NodeCount,
    /// Where the part of the node that is written ends, counted from the start of the chunk.
    /// Grows, and goes back only when nobody but the writer refers to the node.
    /// Readers must stay below it, the writer at or above it.
    written: AtomicU32,
    id: u32,
    /// The start of the chunk, not of the node.
    base: NonNull<u8>,
    /// Where the memory is from: an arena, or `None` if the node is a box of its own.
    origin: Option<NonNull<ArenaCore>>,
    access: Access,
}

impl NodeHeader {
    pub(crate) fn new(arena: NonNull<ArenaCore>, base: NonNull<u8>, id: u32) -> Self {
        Self {
            count: NodeCount::new(),
            written: AtomicU32::new(0),
            id,
            base,
            origin: Some(arena),
            access: Access::default(),
        }
    }

    /// Describes a box of bytes, all of them written, whose one life has begun with one
    /// reference. Both are freed by [`free_own`](Self::free_own), and not before.
    pub(crate) fn own(bytes: Box<[u8]>, len: u32) -> NonNull<Self> {
        debug_assert_eq!(bytes.len(), len as usize);
        let header = Self {
            count: NodeCount::new(),
            written: AtomicU32::new(len),
            id: OWN_NODE_ID,
            base: NonNull::from(Box::leak(bytes)).cast(),
            origin: None,
            access: Access::default(),
        };
        header.count.open();
        NonNull::from(Box::leak(Box::new(header)))
    }

    /// Frees a node that is a box of its own.
    ///
    /// # Safety
    /// The header must be what [`own`](Self::own) answered, and the node's last reference must
    /// have ended, in the hands of the caller, who calls this once.
    #[cold]
    pub(crate) unsafe fn free_own(header: NonNull<Self>) {
        // SAFETY: by contract the pointer is that of the box which `own` has leaked, and nobody
        // else has a reference by which to reach it.
        let header = unsafe { Box::from_raw(header.as_ptr()) };
        header.access.own();
        let bytes = ptr::slice_from_raw_parts_mut(header.base.as_ptr(), header.written_len());
        // SAFETY: `own` took base and length from a box that it leaked, and neither has changed:
        // `set_written` is called by a `Node`, which is made of nodes of an arena only.
        drop(unsafe { Box::from_raw(bytes) });
    }

    /// Begins a life with one reference.
    pub(crate) fn open(&self) {
        self.begin(self.start());
        self.count.open();
    }

    /// Begins a life in which all bytes are leased, each once, and count as written.
    pub(crate) fn open_leased(&self, bytes: u32) {
        self.begin(self.start() + bytes);
        self.count.open_leased(bytes);
    }

    /// Begins to be written from there on, by somebody whose reference is the only one.
    pub(crate) fn take_over(&self, written: u32) {
        self.begin(written);
    }

    fn begin(&self, written: u32) {
        self.access.own();
        // Relaxed: published by the release with which the count is opened, or with which the
        // next lease is made.
        self.written.store(written, Ordering::Relaxed);
    }

    /// Says that bytes up to there are written and will not be written again in this life.
    #[inline]
    pub(crate) fn set_written(&self, written: u32) {
        // Relaxed: who learns of the range by number acquires the release of its lease, which
        // comes later; who has a segment of it does not ask.
        self.written.store(written, Ordering::Relaxed);
    }

    /// Whether a range lies in what is written. The caller has a reference.
    pub(crate) fn contains(&self, id: SegmentId) -> bool {
        let end = id.offset.checked_add(id.len);
        // Relaxed: made visible by the acquire with which the caller came by the reference.
        let written = self.written.load(Ordering::Relaxed);
        id.offset >= self.start() && end.is_some_and(|end| end <= written)
    }

    /// Lets the node's only writer begin again at the start, if nobody else refers to the node.
    /// Whether so.
    pub(crate) fn try_rewind(&self) -> bool {
        let is_alone = self.count.is_one_reference();
        if is_alone {
            self.begin(self.start());
        }
        is_alone
    }

    #[inline]
    pub(crate) fn count(&self) -> &NodeCount {
        &self.count
    }

    #[inline]
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Where the node starts, counted from the start of the chunk.
    #[inline]
    pub(crate) fn start(&self) -> u32 {
        u32::try_from(granule_of(self.id) * GRANULE_BYTES).expect("below the length of a chunk")
    }

    #[inline]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    #[inline]
    pub(crate) fn origin(&self) -> Option<NonNull<ArenaCore>> {
        self.origin
    }

    /// How many bytes of the node are written.
    pub(crate) fn written_len(&self) -> usize {
        // Relaxed: asked by who has the node for itself, or for a guess at what it holds.
        (self.written.load(Ordering::Relaxed) - self.start()) as usize
    }

    #[inline]
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }
}
