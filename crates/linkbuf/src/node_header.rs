use crate::arena_core::ArenaCore;
use crate::buddy::granule_of;
use crate::limits::GRANULE_BYTES;
use crate::node_count::NodeCount;
use crate::segment::SegmentId;
use crate::sync::{Access, AtomicU32, Ordering};
use std::ptr::NonNull;

/// What is known of a node, in memory that only Rust can write.
pub(crate) struct NodeHeader {
    count: NodeCount,
    /// Where the part of the node that is written ends, counted from the start of the chunk.
    /// Grows during a node's life. Readers must stay below it, the writer at or above it.
    written: AtomicU32,
    id: u32,
    /// The start of the chunk, not of the node.
    base: NonNull<u8>,
    arena: NonNull<ArenaCore>,
    access: Access,
}

impl NodeHeader {
    pub(crate) fn new(arena: NonNull<ArenaCore>, base: NonNull<u8>, id: u32) -> Self {
        Self {
            count: NodeCount::new(),
            written: AtomicU32::new(0),
            id,
            base,
            arena,
            access: Access::default(),
        }
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

    fn begin(&self, written: u32) {
        self.access.own();
        // Relaxed: published by the release with which the count is opened.
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
    pub(crate) fn arena(&self) -> NonNull<ArenaCore> {
        self.arena
    }

    #[inline]
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }
}
