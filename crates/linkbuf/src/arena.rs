use crate::arena_core::ArenaCore;
use crate::chunk::Chunk;
use crate::limits::{CHUNK_BYTES_MAX, GRANULE_BYTES};
use crate::node::Node;
use crate::node_count::Released;
use crate::node_ref::NodeRef;
use crate::purpose::{Purpose, Reserves};
use crate::segment::{Segment, SegmentId};
use crate::sync::Arc;
use std::fmt;

/// Gives out ranges of the chunks it was granted, and takes them back.
///
/// A clone is another handle on the same arena; all threads may use one at once. Allocation and
/// the end of a node take a short lock, everything else is lock-free. Memory is bounded: an
/// arena without room says so and, when it has some again, calls [`on_room`](Self::on_room).
///
/// Nodes and segments may outlive the arena's handles. Leases do not: with the last handle they
/// all end, since nobody is left to give them back to.
///
/// ```
/// use linkbuf::{Arena, CHUNK_BYTES, Chunk};
///
/// let arena = Arena::new(4 * CHUNK_BYTES);
/// assert!(arena.allocate(4096).is_none());
/// arena.grant(Chunk::boxed(CHUNK_BYTES))?;
/// let node = arena.allocate(5000).expect("a fresh chunk has room");
/// assert_eq!(node.capacity(), 8192);
/// drop(node);
/// assert_eq!(arena.bytes_free(), CHUNK_BYTES);
/// # Ok::<(), linkbuf::GrantError>(())
/// ```
#[derive(Clone)]
pub struct Arena {
    handle: Arc<Handle>,
}

/// What the clones of an arena share, and its nodes do not.
struct Handle {
    core: Arc<ArenaCore>,
}

/// Why an arena does not take a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GrantError {
    /// It is shorter than [`GRANULE_BYTES`].
    TooSmall,
    /// It is longer than [`CHUNK_BYTES_MAX`].
    TooLarge,
    /// Its length is not a multiple of [`GRANULE_BYTES`].
    NotAligned,
    /// With it the arena would hold more than its limit, in bytes or in number of chunks.
    Full,
}

/// How much of an arena is in use.
///
/// The numbers are taken while other threads go on, so they need not fit each other exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArenaStats {
    /// The length of all chunks.
    pub bytes_granted: usize,
    /// The most that may be granted: the limit given, in whole granules.
    pub bytes_max: usize,
    /// The capacity of all nodes that live.
    pub bytes_in_nodes: usize,
    /// How many nodes live.
    pub nodes: usize,
    /// How many leases the other side holds.
    pub leases: u64,
    /// The capacity of the nodes that have a lease.
    pub bytes_leased: usize,
    /// How many calls named a lease that was not there.
    pub stale: u64,
}

impl Arena {
    /// Makes an arena that takes chunks of `bytes_max` bytes in all, rounded down to whole
    /// granules. It has no memory until one is granted.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let core = Arc::new(ArenaCore::new(bytes_max));
        Self {
            handle: Arc::new(Handle { core }),
        }
    }

    /// Takes a chunk and answers its index.
    ///
    /// # Errors
    /// If its length does not suit, or the arena would exceed a limit. The chunk is dropped.
    pub fn grant(&self, chunk: Chunk) -> Result<u32, GrantError> {
        match chunk.len() {
            bytes if bytes < GRANULE_BYTES => Err(GrantError::TooSmall),
            bytes if bytes > CHUNK_BYTES_MAX => Err(GrantError::TooLarge),
            bytes if !bytes.is_multiple_of(GRANULE_BYTES) => Err(GrantError::NotAligned),
            _ => self.core().grant(chunk),
        }
    }

    /// Takes a node of the smallest class that holds `bytes`: 4 KiB to 256 KiB in powers of two,
    /// then a whole standard chunk, then a longer chunk.
    ///
    /// Nothing if no free range is long enough; then [`on_room`](Self::on_room) follows.
    #[must_use]
    pub fn allocate(&self, bytes: usize) -> Option<Node> {
        self.allocate_for(Purpose::Any, bytes)
    }

    /// As [`allocate`](Self::allocate), but only if the others are left what is
    /// [reserved](Self::reserve) for them.
    #[must_use]
    pub fn allocate_for(&self, purpose: Purpose, bytes: usize) -> Option<Node> {
        self.allocate_some(purpose, bytes, bytes)
    }

    /// As [`allocate_for`](Self::allocate_for), but takes a shorter node, of `bytes_min` bytes at
    /// least, if that is what there is: half as long, or a quarter, and so on.
    #[must_use]
    pub fn allocate_some(&self, purpose: Purpose, bytes: usize, bytes_min: usize) -> Option<Node> {
        let (header, bytes) = ArenaCore::allocate(self.core(), bytes, bytes_min, purpose)?;
        header.open();
        // SAFETY: the node was opened in the line above with one reference, which belongs to
        // nobody else.
        let node = unsafe { NodeRef::from_counted(header) };
        Some(Node::new(node, bytes))
    }

    /// Takes a node for the other side to write, all of it leased, with one lease a byte.
    ///
    /// So the other side can give it back, or name it to [`take_leased`](Self::take_leased), in
    /// as many parts as it likes: each part needs a lease, and the rest goes by
    /// [`release`](Self::release) with a count.
    ///
    /// Nothing if no free range is long enough; then [`on_room`](Self::on_room) follows.
    #[must_use]
    pub fn lease_node(&self, bytes: usize) -> Option<SegmentId> {
        self.lease_node_for(Purpose::Any, bytes)
    }

    /// As [`lease_node`](Self::lease_node), but only if the others are left what is
    /// [reserved](Self::reserve) for them.
    #[must_use]
    pub fn lease_node_for(&self, purpose: Purpose, bytes: usize) -> Option<SegmentId> {
        let (header, len) = ArenaCore::allocate(self.core(), bytes, bytes, purpose)?;
        header.open_leased(len);
        Some(SegmentId {
            node: header.id(),
            offset: header.start(),
            len,
        })
    }

    /// Sets how many of the bytes that can be [divided](Self::bytes_divisible) output leaves to
    /// input, and input to output. Nothing at first. What is in use already stays where it is.
    ///
    /// ```
    /// use linkbuf::{Arena, CHUNK_BYTES, Chunk, Purpose};
    ///
    /// let arena = Arena::new(CHUNK_BYTES);
    /// arena.grant(Chunk::boxed(CHUNK_BYTES))?;
    /// arena.reserve(4096, 65_536);
    /// let output = std::iter::from_fn(|| arena.lease_node_for(Purpose::Output, 4096));
    /// assert_eq!(output.count(), CHUNK_BYTES / 4096 - 1);
    /// assert!(arena.allocate_for(Purpose::Input, 4096).is_some());
    /// # Ok::<(), linkbuf::GrantError>(())
    /// ```
    pub fn reserve(&self, input: usize, output: usize) {
        self.core().set_reserves(Reserves { input, output });
    }

    /// Turns one lease into a segment.
    ///
    /// Nothing, and counted as stale, if the id names no node, the range does not lie in what
    /// is written of it, or the node has no lease. The id may be any number. It is not checked
    /// that the range is the one that was leased: any written range of a leased node will do.
    #[must_use]
    pub fn take_leased(&self, id: SegmentId) -> Option<Segment> {
        let segment = self.try_take(id);
        if segment.is_none() {
            self.core().count_stale();
        }
        segment
    }

    /// Turns the one lease that is left on a [leased node](Self::lease_node) into the right to
    /// write a range of it.
    ///
    /// Nothing, and counted as stale, if the id names no node, the range does not lie in the
    /// node, or anything else refers to it. The id may be any number.
    ///
    /// ```
    /// # use linkbuf::{Arena, Chunk, SegmentId};
    /// # let arena = Arena::new(8192);
    /// # arena.grant(Chunk::boxed(8192))?;
    /// let leased = arena.lease_node(100).expect("a fresh chunk has room");
    /// arena.release(leased.node, leased.len - 1);
    /// let mut node = arena.take_room(leased).expect("there is one lease");
    /// assert_eq!(node.write(b"bytes").as_slice(), b"bytes");
    /// # Ok::<(), linkbuf::GrantError>(())
    /// ```
    #[must_use]
    pub fn take_room(&self, id: SegmentId) -> Option<Node> {
        let node = self.try_take_room(id);
        if node.is_none() {
            self.core().count_stale();
        }
        node
    }

    /// Counts `count` more leases on a node that has at least one.
    ///
    /// False, and counted as stale, if it has none. The id may be any number.
    #[must_use = "without it there is nothing to give back"]
    pub fn retain(&self, node: u32, count: u32) -> bool {
        let header = self.core().header(node);
        let retained = header.is_some_and(|header| header.count().try_retain(count));
        if !retained {
            self.core().count_stale();
        }
        retained
    }

    /// Gives back `count` leases of a node.
    ///
    /// False, and counted as stale, if it has fewer, or none; then nothing happens. The id may
    /// be any number. A node's id is used again after the node has ended, so a second release
    /// is noticed only as long as the id's next node has no leases of its own.
    #[expect(
        clippy::must_use_candidate,
        reason = "a stale one is counted, and needs nothing else"
    )]
    pub fn release(&self, node: u32, count: u32) -> bool {
        let header = self.core().header(node);
        match header.map_or(Released::Stale, |header| header.count().try_release(count)) {
            Released::Stale => {
                self.core().count_stale();
                return false;
            }
            Released::Held => {}
            Released::Last => self.core().free(node).settle(),
        }
        true
    }

    /// Registers a callback for when somebody was refused memory and some has come since.
    ///
    /// It is called once for all that were refused before, on the thread that gave the memory
    /// back or granted it, outside the arena's lock: it may allocate. That the memory is enough
    /// is not promised. It must not panic, as it may run while a segment is being dropped, and
    /// should not hold a handle on the arena, which would keep itself alive.
    pub fn on_room(&self, callback: Box<dyn Fn() + Send + Sync>) {
        self.core().on_room(callback);
    }

    /// How many bytes are in no node. Not all of them need be in one piece.
    #[must_use]
    pub fn bytes_free(&self) -> usize {
        self.core().bytes_free()
    }

    /// As [`bytes_free`](Self::bytes_free), without chunks that are longer than a standard one.
    /// These are never divided, and of no use for the usual nodes.
    #[must_use]
    pub fn bytes_divisible(&self) -> usize {
        self.core().bytes_divisible()
    }

    /// The length of all chunks.
    #[must_use]
    pub fn bytes_granted(&self) -> usize {
        self.core().bytes_granted()
    }

    /// Whether no further chunk can be granted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.core().is_full()
    }

    /// Counts what is in use. Looks at every granule: for diagnostics.
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        self.core().stats()
    }

    /// Refers to the node first, then looks at the range, then ends the lease. In another order a
    /// number that is stale could take, for a moment, the lease of a node that has come since,
    /// and who gives that lease back in this moment would be told that it is not there.
    fn try_take(&self, id: SegmentId) -> Option<Segment> {
        let header = self.core().header(id.node)?;
        if !header.count().try_add_reference() {
            return None;
        }
        // SAFETY: the reference counted in the lines above belongs to nobody yet, and the node
        // is live as it had a lease at that moment.
        let node = unsafe { NodeRef::from_counted(header) };
        let taken = header.contains(id) && header.count().try_end_lease();
        taken.then(|| Segment::new(node, id.offset, id.len))
    }

    /// In the same order as `try_take`, for the same reason.
    fn try_take_room(&self, id: SegmentId) -> Option<Node> {
        let header = self.core().header(id.node)?;
        if !header.count().try_add_reference() {
            return None;
        }
        // SAFETY: the reference counted in the lines above belongs to nobody yet, and the node
        // is live as it had a lease at that moment.
        let node = unsafe { NodeRef::from_counted(header) };
        let taken = header.contains(id) && header.count().try_end_only_lease();
        taken.then(|| Node::taken_over(node, id))
    }

    pub(crate) fn core(&self) -> &Arc<ArenaCore> {
        &self.handle.core
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.abandon_leases();
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("bytes_free", &self.bytes_free())
            .field("is_full", &self.is_full())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "the chunk is shorter than a granule",
            Self::TooLarge => "the chunk is longer than the longest chunk",
            Self::NotAligned => "the length of the chunk is no multiple of a granule",
            Self::Full => "the arena may not hold more memory",
        })
    }
}

impl std::error::Error for GrantError {}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::limits::{CHUNK_BYTES, NODE_BYTES_MAX};
    use crate::sync::{AtomicU32, Ordering};

    fn arena() -> Arena {
        let arena = Arena::new(CHUNK_BYTES);
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        arena
    }

    fn leased(arena: &Arena, bytes: &[u8]) -> SegmentId {
        arena
            .allocate(bytes.len())
            .unwrap()
            .write(bytes)
            .into_lease()
    }

    #[test]
    fn a_grant_is_refused_for_its_length_or_its_sum() {
        let arena = Arena::new(CHUNK_BYTES + GRANULE_BYTES + 1);
        let grant = |bytes| arena.grant(Chunk::boxed(bytes));
        assert_eq!(grant(GRANULE_BYTES - 1), Err(GrantError::TooSmall));
        assert_eq!(grant(GRANULE_BYTES + 1), Err(GrantError::NotAligned));
        assert_eq!(
            grant(CHUNK_BYTES_MAX + GRANULE_BYTES),
            Err(GrantError::TooLarge)
        );
        assert_eq!(grant(CHUNK_BYTES), Ok(0));
        assert!(!arena.is_full());
        assert_eq!(grant(2 * GRANULE_BYTES), Err(GrantError::Full));
        assert_eq!(grant(GRANULE_BYTES), Ok(1));
        assert!(arena.is_full());
        assert_eq!(arena.stats().bytes_granted, arena.stats().bytes_max);
    }

    #[test]
    fn an_arena_of_too_many_short_chunks_is_full() {
        let arena = Arena::new(CHUNK_BYTES);
        let granted = (0..1000)
            .take_while(|_| arena.grant(Chunk::boxed(GRANULE_BYTES)).is_ok())
            .count();
        assert_eq!(granted, 1 + crate::limits::CHUNKS_SPARE);
        assert!(arena.is_full());
    }

    #[test]
    fn a_node_comes_back_when_the_last_segment_goes() {
        let arena = arena();
        let mut node = arena.allocate(1).unwrap();
        let first = node.write(b"first");
        let second = first.clone();
        drop(node);
        drop(first);
        assert_eq!(arena.bytes_free(), CHUNK_BYTES - GRANULE_BYTES);
        assert_eq!(second.as_slice(), b"first");
        drop(second);
        assert_eq!(arena.bytes_free(), CHUNK_BYTES);
    }

    #[test]
    fn a_chunk_that_is_not_divided_does_not_count_as_divisible() {
        let arena = Arena::new(4 * CHUNK_BYTES);
        arena.grant(Chunk::boxed(2 * CHUNK_BYTES)).unwrap();
        assert_eq!(
            (arena.bytes_free(), arena.bytes_divisible()),
            (2 * CHUNK_BYTES, 0)
        );
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        arena.reserve(0, CHUNK_BYTES);
        assert!(arena.allocate_for(Purpose::Input, 1).is_none());
        let node = arena.allocate(2 * CHUNK_BYTES).unwrap();
        assert_eq!(
            (arena.bytes_free(), arena.bytes_divisible()),
            (CHUNK_BYTES, CHUNK_BYTES)
        );
        drop(node);
        assert_eq!(arena.bytes_divisible(), CHUNK_BYTES);
    }

    #[test]
    fn h114_input_and_output_leave_each_other_what_is_reserved() {
        let arena = arena();
        let (input, output) = (3 * GRANULE_BYTES, 5 * GRANULE_BYTES);
        arena.reserve(input, output);
        let take = |purpose| std::iter::from_fn(move || Some((purpose, GRANULE_BYTES)));
        let all = |purpose| -> Vec<Node> {
            take(purpose)
                .map_while(|(purpose, bytes)| arena.allocate_for(purpose, bytes))
                .collect()
        };
        let received = all(Purpose::Input);
        assert_eq!(arena.bytes_free(), output);
        assert!(arena.lease_node_for(Purpose::Room, 1).is_none());
        let sent = all(Purpose::Output);
        assert_eq!(arena.bytes_free(), 0, "input has its reserve already");
        drop((received, sent));
        // All that output may have, so that input cannot leave it what is reserved.
        let sent = all(Purpose::Output);
        assert_eq!(arena.bytes_free(), input);
        let received = all(Purpose::Input);
        assert_eq!(arena.bytes_free(), 0, "its own reserve is input's");
        drop(received);
        assert!(arena.lease_node_for(Purpose::Output, 1).is_none());
        assert_eq!(all(Purpose::Any).len(), 3);
        drop(sent);
        let rooms = all(Purpose::Room);
        assert_eq!(arena.bytes_free(), input + output, "neither's reserve");
        drop(rooms);
        assert_eq!(arena.bytes_free(), CHUNK_BYTES);
    }

    #[test]
    fn a_shorter_node_will_do_where_there_is_no_long_one() {
        let arena = arena();
        let mut nodes: Vec<Node> = std::iter::from_fn(|| arena.allocate(1)).collect();
        // Two neighbours, and one that has none.
        let ids: Vec<u32> = nodes.iter().map(Node::id).collect();
        nodes.retain(|node| ![4, 5, 8].contains(&node.id()));
        assert_eq!(ids.len() - nodes.len(), 3);
        let some = || arena.allocate_some(Purpose::Input, 1 << 16, GRANULE_BYTES);
        let found: Vec<Node> = std::iter::from_fn(some).collect();
        let lengths: Vec<usize> = found.iter().map(Node::capacity).collect();
        assert_eq!(lengths, [2 * GRANULE_BYTES, GRANULE_BYTES]);
    }

    #[test]
    fn room_of_a_leased_node_is_taken_by_whoever_has_the_only_lease() {
        let arena = arena();
        let leased = arena.lease_node(5000).unwrap();
        assert!(arena.take_room(leased).is_none(), "there are more leases");
        assert!(arena.release(leased.node, leased.len - 1));
        let range = |offset, len| SegmentId {
            offset: leased.offset + offset,
            len,
            ..leased
        };
        assert!(arena.take_room(range(0, leased.len + 1)).is_none());
        let segment = arena.take_leased(range(0, 1)).unwrap();
        let _ = segment.lease();
        assert!(arena.take_room(leased).is_none(), "there is a segment");
        drop(segment);
        let mut node = arena.take_room(range(100, 50)).unwrap();
        assert_eq!((node.room(), arena.stats().leases), (50, 0));
        assert!(arena.take_room(leased).is_none(), "it is taken");
        let written = node.write(&[7; 50]).into_lease();
        assert_eq!(written, range(100, 50));
        // What lies before may be used together with what was written, what lies behind may not.
        assert!(arena.retain(leased.node, 1));
        assert!(arena.take_leased(range(100, 51)).is_none());
        assert!(arena.take_leased(range(90, 60)).is_some());
        drop(node);
        assert!(arena.release(leased.node, 1));
        assert_eq!(arena.bytes_free(), CHUNK_BYTES);
        assert_eq!(arena.stats().stale, 5);
    }

    #[test]
    fn an_id_names_chunk_and_granule_and_offsets_count_from_the_chunk() {
        let arena = Arena::new(3 * CHUNK_BYTES);
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        arena.grant(Chunk::boxed(2 * CHUNK_BYTES)).unwrap();
        let mut long = arena.allocate(CHUNK_BYTES + 1).unwrap();
        assert_eq!((long.id(), long.capacity()), (1 << 8, 2 * CHUNK_BYTES));
        long.spare()[2 * CHUNK_BYTES - 1] = 9;
        assert_eq!(
            long.commit(2 * CHUNK_BYTES).as_slice()[2 * CHUNK_BYTES - 1],
            9
        );
        let nodes: Vec<Node> = std::iter::from_fn(|| arena.allocate(NODE_BYTES_MAX)).collect();
        for mut node in nodes {
            let (id, first) = (node.id(), node.write(b"1"));
            assert_eq!(first.id().offset, id * 4096);
            let second = node.write(b"22").id();
            assert_eq!(
                (second.node, second.offset, second.len),
                (id, id * 4096 + 1, 2)
            );
        }
    }

    #[test]
    #[should_panic(expected = "commit beyond the end of the node")]
    fn h27_a_commit_beyond_the_node_panics() {
        let arena = arena();
        let _ = arena.allocate(1).unwrap().commit(GRANULE_BYTES + 1);
    }

    #[test]
    fn a_lease_keeps_the_node_and_turns_back_into_a_segment() {
        let arena = arena();
        let id = leased(&arena, b"bytes");
        assert_eq!((arena.stats().nodes, arena.stats().leases), (1, 1));
        assert_eq!(arena.stats().bytes_leased, GRANULE_BYTES);
        let segment = arena.take_leased(id).unwrap();
        assert_eq!(segment.as_slice(), b"bytes");
        assert_eq!((segment.id(), arena.stats().leases), (id, 0));
        drop(segment);
        assert_eq!(arena.stats().nodes, 0);
    }

    #[test]
    fn h56_a_second_release_is_ignored_and_counted() {
        let arena = arena();
        let mut node = arena.allocate(1).unwrap();
        let id = node.write(b"bytes").into_lease();
        assert!(arena.release(id.node, 1));
        assert!(!arena.release(id.node, 1));
        assert_eq!((arena.stats().stale, arena.stats().nodes), (1, 1));
        assert_eq!(node.write(b"more").as_slice(), b"more");
        drop(node);
        for count in [0, 1, u32::MAX] {
            assert!(!arena.release(id.node, count));
        }
        assert_eq!((arena.stats().stale, arena.stats().nodes), (4, 0));
        assert_eq!(arena.bytes_free(), CHUNK_BYTES);
    }

    #[test]
    fn h56_a_release_of_more_than_there_is_changes_nothing() {
        let arena = arena();
        let id = leased(&arena, b"bytes");
        assert!(arena.retain(id.node, 2));
        assert!(!arena.release(id.node, 4));
        assert_eq!(arena.stats().leases, 3);
        assert!(arena.release(id.node, 3));
        assert_eq!(arena.stats().nodes, 0);
        assert!(!arena.retain(id.node, 1));
        assert_eq!(arena.stats().stale, 2);
    }

    #[test]
    fn a_retain_beyond_what_can_be_counted_is_refused() {
        let arena = arena();
        let id = leased(&arena, b"bytes");
        assert!(!arena.retain(id.node, u32::MAX));
        assert!(arena.retain(id.node, (1 << 31) - 1));
        assert!(!arena.retain(id.node, 1));
        assert_eq!(arena.stats().leases, 1 << 31);
        let segment = arena.take_leased(id).unwrap();
        let cloned = std::panic::catch_unwind(|| segment.clone());
        assert!(cloned.is_err(), "2³¹ references are the most");
        let lease = std::panic::catch_unwind(|| segment.lease());
        assert!(lease.is_err(), "2³¹ references are the most");
        assert!(arena.release(id.node, (1 << 31) - 1));
        drop(segment);
        assert_eq!(arena.stats().nodes, 0);
    }

    #[test]
    fn numbers_that_name_nothing_are_refused_and_counted() {
        let arena = arena();
        let mut node = arena.allocate(8192).unwrap();
        let id = node.write(b"bytes").lease();
        let wrong = [
            SegmentId {
                node: id.node + 1,
                ..id
            },
            SegmentId {
                node: u32::MAX,
                ..id
            },
            SegmentId { node: 1 << 8, ..id },
            SegmentId { len: 6, ..id },
            SegmentId {
                len: u32::MAX,
                ..id
            },
            SegmentId {
                offset: u32::MAX,
                ..id
            },
            SegmentId {
                offset: id.offset + 1,
                ..id
            },
        ];
        for id in wrong {
            assert!(arena.take_leased(id).is_none(), "{id:?}");
        }
        assert_eq!(arena.stats().stale, wrong.len() as u64);
        assert_eq!(arena.stats().leases, 1);
        assert!(arena.take_leased(id).is_some());
        assert!(arena.take_leased(id).is_none());
    }

    #[test]
    fn h27_a_range_before_the_node_is_refused() {
        let arena = arena();
        let mut neighbour = arena.allocate(1).unwrap();
        let own = neighbour.write(b"neighbour");
        let id = leased(&arena, b"bytes");
        let (low, high) = (own.id(), id);
        assert!(low.offset < high.offset);
        assert!(
            arena
                .take_leased(SegmentId {
                    node: high.node,
                    ..low
                })
                .is_none()
        );
    }

    #[test]
    fn a_leased_node_goes_back_byte_by_byte() {
        let arena = arena();
        let id = arena.lease_node(5000).unwrap();
        assert_eq!((id.len, arena.stats().leases), (8192, 8192));
        let first = arena.take_leased(SegmentId { len: 10, ..id }).unwrap();
        let second = SegmentId {
            offset: id.offset + 10,
            len: 8182,
            ..id
        };
        let mut whole = first.clone();
        whole.try_join(arena.take_leased(second).unwrap()).unwrap();
        assert_eq!(whole.len(), 8192);
        assert!(arena.release(id.node, 8190));
        assert!(!arena.release(id.node, 1));
        drop((first, whole));
        assert_eq!(arena.stats().nodes, 0);
    }

    #[test]
    fn h117_a_node_is_not_recycled_under_its_writer() {
        let arena = Arena::new(GRANULE_BYTES);
        arena.grant(Chunk::boxed(GRANULE_BYTES)).unwrap();
        let mut node = arena.allocate(1).unwrap();
        let id = node.write(b"first").into_lease();
        assert!(arena.release(id.node, 1));
        // Nothing of it is referred to any more, but its writer exists.
        assert!(arena.allocate(1).is_none());
        let second = node.write(b"second");
        assert_eq!((second.as_slice(), second.id().offset), (&b"second"[..], 5));
        drop(node);
        assert!(arena.allocate(1).is_none());
        drop(second);
        assert_eq!(arena.allocate(1).unwrap().room(), GRANULE_BYTES);
    }

    #[test]
    fn h110_segments_outlive_the_arena() {
        let arena = arena();
        let mut node = arena.allocate(1).unwrap();
        let segment = node.write(b"bytes");
        drop(arena);
        assert_eq!(node.write(b"more").as_slice(), b"more");
        drop(node);
        assert_eq!(segment.as_slice(), b"bytes");
    }

    #[test]
    fn h110_memory_goes_with_the_last_handle_and_leases_do_not_hold_it() {
        let arena = arena();
        let core = Arc::downgrade(arena.core());
        let id = leased(&arena, b"bytes");
        let segment = arena.take_leased(id).unwrap();
        let _ = segment.lease();
        assert!(arena.lease_node(1).is_some());
        drop(arena.clone());
        assert_eq!(arena.stats().leases, 4097);
        drop(arena);
        assert_eq!(segment.as_slice(), b"bytes");
        assert!(core.upgrade().is_some());
        drop(segment);
        assert!(core.upgrade().is_none());
    }

    #[test]
    fn on_room_is_called_once_for_each_time_somebody_starved() {
        let arena = Arena::new(CHUNK_BYTES + GRANULE_BYTES);
        let calls = Arc::new(AtomicU32::new(0));
        for _ in 0..2 {
            let calls = Arc::clone(&calls);
            arena.on_room(Box::new(move || {
                calls.fetch_add(1, Ordering::Relaxed);
            }));
        }
        let calls = || calls.load(Ordering::Relaxed);
        assert!(arena.allocate(1).is_none());
        assert!(arena.lease_node(1).is_none());
        assert_eq!(calls(), 0);
        arena.grant(Chunk::boxed(GRANULE_BYTES)).unwrap();
        assert_eq!(calls(), 2);
        let node = arena.allocate(1).unwrap();
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        assert_eq!(calls(), 2);
        assert!(arena.allocate(2 * CHUNK_BYTES).is_none());
        drop(node);
        assert_eq!(calls(), 4);
        drop(arena.allocate(1));
        assert_eq!(calls(), 4);
    }

    #[test]
    fn on_room_may_allocate_and_release() {
        let arena = Arena::new(GRANULE_BYTES);
        let handle = Arc::new(std::sync::OnceLock::new());
        let calls = Arc::new(AtomicU32::new(0));
        let (weak, called) = (Arc::downgrade(&handle), Arc::clone(&calls));
        arena.on_room(Box::new(move || {
            let handle: Arc<std::sync::OnceLock<Arena>> = weak.upgrade().unwrap();
            let arena = handle.get().unwrap();
            let node = arena.allocate(1);
            if called.fetch_add(1, Ordering::Relaxed) < 3 {
                // So that the end of `node` finds somebody starving, and calls this again.
                assert!(arena.allocate(1).is_none());
            }
            drop(node);
        }));
        handle.set(arena.clone()).unwrap();
        assert!(arena.allocate(1).is_none());
        arena.grant(Chunk::boxed(GRANULE_BYTES)).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 4);
        assert_eq!(arena.bytes_free(), GRANULE_BYTES);
    }

    #[test]
    fn threads_share_an_arena_and_nothing_is_lost() {
        let arena = arena();
        std::thread::scope(|scope| {
            for tag in 0..4_u8 {
                let arena = &arena;
                scope.spawn(move || {
                    for round in 0..500 {
                        let bytes = [tag; 3000];
                        let Some(mut node) = arena.allocate(6000 + round * 100) else {
                            continue;
                        };
                        let segment = node.write(&bytes);
                        let id = node.write(&bytes).into_lease();
                        drop(node);
                        let other = arena.take_leased(id).unwrap();
                        assert_eq!(segment.as_slice(), bytes);
                        assert_eq!(other.as_slice(), bytes);
                    }
                });
            }
        });
        assert_eq!((arena.stats().nodes, arena.stats().stale), (0, 0));
        assert!(arena.allocate(CHUNK_BYTES).is_some());
    }
}
