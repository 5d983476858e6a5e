use crate::arena::{ArenaStats, GrantError};
use crate::buddy::{Block, Buddy};
use crate::chunk::Chunk;
use crate::chunk_table::{ChunkEntry, ChunkTable};
use crate::limits::{CHUNK_BYTES, CHUNKS_MAX, CHUNKS_SPARE, GRANULE_BYTES};
use crate::node_count::Released;
use crate::node_header::NodeHeader;
use crate::purpose::{Purpose, Reserves};
use crate::room::{Due, Room};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use std::ptr::NonNull;

/// What all clones of an arena, and all of its nodes, share.
///
/// While at least one node lives, `State::keep_alive` refers to the core itself, so headers and
/// chunks outlive every node although a segment has no pointer to spare for an `Arc`. Whoever
/// frees a node leaves with a reference of his own: when his lock is released another thread may
/// free the last node, and the core must not go while he is still in it.
pub(crate) struct ArenaCore {
    bytes_max: usize,
    chunks: ChunkTable,
    state: Mutex<State>,
    /// Copies of what the state says, for readers without the lock.
    bytes_free: AtomicUsize,
    bytes_divisible: AtomicUsize,
    is_full: AtomicBool,
    stale: AtomicU64,
}

/// Guarded by a lock that is held for a few list operations, never while other code runs.
struct State {
    buddy: Buddy,
    chunk_count: usize,
    bytes_granted: usize,
    bytes_free: usize,
    /// Of these, those in chunks that can be divided: the others are of no use for usual nodes.
    bytes_divisible: usize,
    bytes_in_nodes: usize,
    /// Of these, those that input has of chunks that can be divided.
    bytes_for_input: usize,
    reserves: Reserves,
    nodes: usize,
    room: Room,
    keep_alive: Option<Arc<ArenaCore>>,
}

/// What is left to do when a node has been freed, without the lock and without a borrow of the
/// core, as this may hold the last reference to it.
#[must_use]
pub(crate) struct Freed {
    due: Due,
    _keep_alive: Arc<ArenaCore>,
}

impl ArenaCore {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max - bytes_max % GRANULE_BYTES;
        let chunks_max = bytes_max.div_ceil(CHUNK_BYTES) + CHUNKS_SPARE;
        Self {
            bytes_max,
            chunks: ChunkTable::new(chunks_max.min(CHUNKS_MAX)),
            state: Mutex::new(State::new()),
            bytes_free: AtomicUsize::new(0),
            bytes_divisible: AtomicUsize::new(0),
            is_full: AtomicBool::new(bytes_max == 0),
            stale: AtomicU64::new(0),
        }
    }

    /// Takes a chunk whose length has been checked.
    pub(crate) fn grant(&self, chunk: Chunk) -> Result<u32, GrantError> {
        let bytes = chunk.len();
        let index = self.reserve(bytes)?;
        // The headers are made without the lock: allocation does not wait for a grant.
        let arena = NonNull::from(self);
        let base = chunk.base();
        let header = |id| NodeHeader::new(arena, base, id);
        self.chunks
            .publish(index, ChunkEntry::new(chunk, header, index));
        let granules = u32::try_from(bytes / GRANULE_BYTES).expect("the length was checked");
        let due = {
            let mut state = self.lock();
            state.buddy.insert(index, granules);
            state.bytes_free += bytes;
            state.bytes_divisible += divisible(bytes);
            self.publish_free(&state);
            state.room.end_starvation()
        };
        due.call();
        Ok(index)
    }

    pub(crate) fn set_reserves(&self, reserves: Reserves) {
        self.lock().reserves = reserves;
    }

    /// Takes a free block of `bytes` or, if there is none, of half as many and so on down to
    /// `bytes_min`; or remembers that somebody starves. Answers the header of the node that it is
    /// for, at rest, and its length.
    pub(crate) fn allocate(
        core: &Arc<Self>,
        bytes: usize,
        bytes_min: usize,
        purpose: Purpose,
    ) -> Option<(&NodeHeader, u32)> {
        let block = {
            let mut state = core.lock();
            let mut lengths = std::iter::successors(Some(bytes), |&bytes| {
                Some(bytes / 2).filter(|&half| half >= bytes_min)
            });
            let Some(block) = lengths.find_map(|bytes| state.take_block(bytes, purpose)) else {
                state.room.starve();
                return None;
            };
            core.publish_free(&state);
            if state.keep_alive.is_none() {
                state.keep_alive = Some(Arc::clone(core));
            }
            block
        };
        let header = core.chunks.header(block.id);
        Some((header.expect("a free block has a header"), block.bytes))
    }

    /// Takes the range of a node back whose last reference has ended.
    pub(crate) fn free(&self, id: u32) -> Freed {
        let mut state = self.lock();
        state.free_block(id);
        self.publish_free(&state);
        Freed {
            due: state.room.end_starvation(),
            _keep_alive: state.leave(),
        }
    }

    /// Ends all leases, as nobody is left who could.
    pub(crate) fn abandon_leases(&self) {
        // What the callbacks captured is dropped outside the lock.
        let callbacks = self.lock().room.clear();
        drop(callbacks);
        for header in self.chunks.headers() {
            if header.count().release_all() == Released::Last {
                // No callback is left that would be called.
                self.free(header.id()).settle();
            }
        }
    }

    pub(crate) fn on_room(&self, callback: Box<dyn Fn() + Send + Sync>) {
        self.lock().room.add(callback);
    }

    /// The header that an id names. The id may be any number.
    #[inline]
    pub(crate) fn header(&self, id: u32) -> Option<&NodeHeader> {
        self.chunks.header(id)
    }

    #[cold]
    pub(crate) fn count_stale(&self) {
        // Relaxed: a number for statistics.
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes_free(&self) -> usize {
        // Relaxed: true for a moment only, whatever the ordering.
        self.bytes_free.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_divisible(&self) -> usize {
        // Relaxed: as in `bytes_free`.
        self.bytes_divisible.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_granted(&self) -> usize {
        self.lock().bytes_granted
    }

    pub(crate) fn is_full(&self) -> bool {
        // Relaxed: as in `bytes_free`.
        self.is_full.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> ArenaStats {
        let mut totals = ArenaStats {
            bytes_max: self.bytes_max,
            // Relaxed: a number for statistics.
            stale: self.stale.load(Ordering::Relaxed),
            ..ArenaStats::default()
        };
        let chunk_count = {
            let state = self.lock();
            totals.bytes_granted = state.bytes_granted;
            totals.bytes_in_nodes = state.bytes_in_nodes;
            totals.nodes = state.nodes;
            state.chunk_count
        };
        for index in (0..).take(chunk_count) {
            // The lock is taken again for each chunk, so that allocation waits for one at most.
            for block in self.lock().buddy.used(index) {
                let header = self.chunks.header(block.id);
                let leases = header.map_or(0, |header| header.count().lease_count());
                totals.leases += u64::from(leases);
                totals.bytes_leased += if leases > 0 { block.bytes as usize } else { 0 };
            }
        }
        totals
    }

    /// Counts a chunk in and gives it its index.
    fn reserve(&self, bytes: usize) -> Result<u32, GrantError> {
        let mut state = self.lock();
        let chunks_max = self.chunks.chunks_max();
        let fits = bytes <= self.bytes_max - state.bytes_granted;
        if !fits || state.chunk_count == chunks_max {
            return Err(GrantError::Full);
        }
        let index = u32::try_from(state.chunk_count).expect("fewer than CHUNKS_MAX");
        state.chunk_count += 1;
        state.bytes_granted += bytes;
        let is_full = state.bytes_granted == self.bytes_max || state.chunk_count == chunks_max;
        // Relaxed: as in `is_full`.
        self.is_full.store(is_full, Ordering::Relaxed);
        Ok(index)
    }

    fn publish_free(&self, state: &State) {
        // Relaxed: as in `bytes_free`. The lock keeps the stores in order.
        self.bytes_free.store(state.bytes_free, Ordering::Relaxed);
        self.bytes_divisible
            .store(state.bytes_divisible, Ordering::Relaxed);
    }

    /// A lock that is poisoned means a bug in here, after which handing out memory could give
    /// one range to two owners: that panics too.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the arena's lock")
    }
}

/// How many bytes of a block are in a chunk that can be divided, which one longer than a standard
/// chunk is not.
fn divisible(bytes: usize) -> usize {
    if bytes > CHUNK_BYTES { 0 } else { bytes }
}

impl Freed {
    /// Calls who waited for memory, then lets go of the core.
    pub(crate) fn settle(self) {
        self.due.call();
    }
}

impl State {
    fn new() -> Self {
        Self {
            buddy: Buddy::new(),
            chunk_count: 0,
            bytes_granted: 0,
            bytes_free: 0,
            bytes_divisible: 0,
            bytes_in_nodes: 0,
            bytes_for_input: 0,
            reserves: Reserves::default(),
            nodes: 0,
            room: Room::default(),
            keep_alive: None,
        }
    }

    /// Takes a free block, if its purpose allows it.
    fn take_block(&mut self, bytes: usize, purpose: Purpose) -> Option<Block> {
        let needed = Buddy::divided_bytes(bytes);
        let (free, input) = (self.bytes_divisible, self.bytes_for_input);
        if !purpose.allows(needed, free, input, self.reserves) {
            return None;
        }
        let block = self.buddy.allocate(bytes)?;
        let bytes = block.bytes as usize;
        self.nodes += 1;
        self.bytes_in_nodes += bytes;
        self.bytes_free -= bytes;
        self.bytes_divisible -= divisible(bytes);
        if purpose == Purpose::Input {
            self.buddy.mark(block.id);
            self.bytes_for_input += divisible(bytes);
        }
        Some(block)
    }

    fn free_block(&mut self, id: u32) {
        let (bytes, is_input) = self.buddy.free(id);
        let bytes = bytes as usize;
        self.nodes -= 1;
        self.bytes_in_nodes -= bytes;
        self.bytes_free += bytes;
        self.bytes_divisible += divisible(bytes);
        if is_input {
            self.bytes_for_input -= divisible(bytes);
        }
    }

    /// A reference for the caller; with the last node the core lets go of its own.
    fn leave(&mut self) -> Arc<ArenaCore> {
        let keep_alive = if self.nodes == 0 {
            self.keep_alive.take()
        } else {
            self.keep_alive.clone()
        };
        keep_alive.expect("there is a reference while a node lives")
    }
}
