//! Random sequences of everything an arena can do, against a model in which every byte has an
//! owner and every reference is counted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkbuf::{Arena, CHUNK_BYTES, Chunk, GRANULE_BYTES, LinkBuffer, Node, Purpose};
use linkbuf::{Segment, SegmentId};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;
use std::sync::LazyLock;

const BUFFERS: usize = 3;
const CHUNKS: [usize; 4] = [
    CHUNK_BYTES,
    11 * GRANULE_BYTES,
    2 * CHUNK_BYTES,
    CHUNK_BYTES / 2,
];
const TAGS: usize = 251;

/// So much that random steps come to where it counts.
const INPUT_RESERVE: usize = 60 * GRANULE_BYTES;
const OUTPUT_RESERVE: usize = 90 * GRANULE_BYTES;

/// What a node's bytes must be, by its tag and the offset: position-coded, so that a byte of
/// another node or of another place shows.
fn expected(tag: usize, offset: u32, len: usize) -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..2 * CHUNK_BYTES + TAGS).map(|_| next()).collect()
    });
    let start = tag % TAGS + offset as usize;
    &BYTES[start..start + len]
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Allocate { bytes: usize, purpose: Purpose },
    LeaseNode { bytes: usize, purpose: Purpose },
    Commit { node: usize, bytes: usize },
    DropNode { node: usize },
    Clone { segment: usize },
    Split { segment: usize, at: usize },
    Join { left: usize, right: usize },
    DropSegment { segment: usize },
    Lease { segment: usize },
    IntoLease { segment: usize },
    Retain { lease: usize },
    Take { lease: usize, at: usize },
    Release { lease: usize, count: u32 },
    ReleaseTooMany { lease: usize },
    Stale { id: (u32, u32, u32) },
    Push { buffer: usize, segment: usize },
    Pop { buffer: usize },
    Skip { buffer: usize, bytes: usize },
    Append { target: usize, source: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![
        8 => 1..20_000_usize,
        2 => 1..300_000_usize,
        1 => Just(CHUNK_BYTES),
        1 => Just(2 * CHUNK_BYTES)
    ];
    let purpose = prop_oneof![
        Just(Purpose::Any),
        Just(Purpose::Input),
        Just(Purpose::Room),
        Just(Purpose::Output),
    ];
    let allocation = (bytes, purpose);
    let index = any::<u16>().prop_map(usize::from);
    let short = prop_oneof![4 => 0..3000_usize, 1 => any::<u32>().prop_map(|at| at as usize)];
    let buffer = 0..BUFFERS;
    prop_oneof![
        3 => allocation
            .clone()
            .prop_map(|(bytes, purpose)| Step::Allocate { bytes, purpose }),
        1 => allocation.prop_map(|(bytes, purpose)| Step::LeaseNode { bytes, purpose }),
        6 => (index.clone(), short.clone()).prop_map(|(node, bytes)| Step::Commit { node, bytes }),
        2 => index.clone().prop_map(|node| Step::DropNode { node }),
        2 => index.clone().prop_map(|segment| Step::Clone { segment }),
        2 => (index.clone(), short.clone()).prop_map(|(segment, at)| Step::Split { segment, at }),
        2 => (index.clone(), index.clone()).prop_map(|(left, right)| Step::Join { left, right }),
        2 => index.clone().prop_map(|segment| Step::DropSegment { segment }),
        2 => index.clone().prop_map(|segment| Step::Lease { segment }),
        2 => index.clone().prop_map(|segment| Step::IntoLease { segment }),
        1 => index.clone().prop_map(|lease| Step::Retain { lease }),
        3 => (index.clone(), short.clone()).prop_map(|(lease, at)| Step::Take { lease, at }),
        3 => (index.clone(), 1..4000_u32).prop_map(|(lease, count)| Step::Release { lease, count }),
        1 => index.clone().prop_map(|lease| Step::ReleaseTooMany { lease }),
        1 => any::<(u32, u32, u32)>().prop_map(|id| Step::Stale { id }),
        4 => (buffer.clone(), index).prop_map(|(buffer, segment)| Step::Push { buffer, segment }),
        2 => buffer.clone().prop_map(|buffer| Step::Pop { buffer }),
        3 => (buffer.clone(), short).prop_map(|(buffer, bytes)| Step::Skip { buffer, bytes }),
        1 => (buffer.clone(), buffer).prop_map(|(target, source)| Step::Append { target, source }),
    ]
}

/// What the model knows of a node that lives.
struct Life {
    tag: usize,
    start: u32,
    capacity: usize,
    purpose: Purpose,
    written: u32,
    leases: u32,
}

struct World {
    arena: Arena,
    nodes: Vec<Node>,
    segments: Vec<Segment>,
    buffers: [LinkBuffer; BUFFERS],
    /// What the buffers must hold, a range a push.
    queues: [VecDeque<SegmentId>; BUFFERS],
    lives: BTreeMap<u32, Life>,
    tags: usize,
    stale: u64,
    /// Where each chunk starts: the test is the other side, which writes leased nodes.
    bases: Vec<NonNull<u8>>,
    /// Last, as the arena is granted this memory.
    _memory: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let arena = Arena::new(CHUNKS.iter().sum());
        arena.reserve(INPUT_RESERVE, OUTPUT_RESERVE);
        let mut memory: Vec<Vec<u8>> = CHUNKS.iter().map(|&bytes| vec![0; bytes]).collect();
        let bases: Vec<NonNull<u8>> = memory
            .iter_mut()
            .map(|bytes| NonNull::new(bytes.as_mut_ptr()).unwrap())
            .collect();
        for (&base, &bytes) in bases.iter().zip(&CHUNKS) {
            // SAFETY: the vector is not touched by itself again, and is the last field of the
            // world, so it is dropped after the arena and all that the arena gave out. This test
            // writes through `base` only where it holds the leases of a whole node.
            arena
                .grant(unsafe { Chunk::from_raw(base, bytes) })
                .unwrap();
        }
        Self {
            arena,
            nodes: Vec::new(),
            segments: Vec::new(),
            buffers: Default::default(),
            queues: Default::default(),
            lives: BTreeMap::new(),
            tags: 0,
            stale: 0,
            bases,
            _memory: memory,
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Allocate { bytes, purpose } => self.allocate(bytes, purpose),
            Step::LeaseNode { bytes, purpose } => self.lease_node(bytes, purpose),
            Step::Commit { node, bytes } => self.commit(node, bytes),
            Step::DropNode { node } => drop(take(&mut self.nodes, node)),
            Step::Clone { segment } => {
                let segment = pick(&self.segments, segment).cloned();
                self.segments.extend(segment);
            }
            Step::Split { segment, at } => self.split(segment, at),
            Step::Join { left, right } => self.join(left, right),
            Step::DropSegment { segment } => drop(take(&mut self.segments, segment)),
            Step::Lease { segment } => {
                if let Some(segment) = pick(&self.segments, segment) {
                    let id = segment.lease();
                    self.lives.get_mut(&id.node).unwrap().leases += 1;
                }
            }
            Step::IntoLease { segment } => {
                if let Some(segment) = take(&mut self.segments, segment) {
                    let id = segment.into_lease();
                    self.lives.get_mut(&id.node).unwrap().leases += 1;
                }
            }
            Step::Retain { lease } => self.retain(lease),
            Step::Take { lease, at } => self.take_leased(lease, at),
            Step::Release { lease, count } => self.release(lease, count),
            Step::ReleaseTooMany { lease } => self.release_too_many(lease),
            Step::Stale { id } => self.stale(id),
            Step::Push { buffer, segment } => self.push(buffer, segment),
            Step::Pop { buffer } => self.pop(buffer),
            Step::Skip { buffer, bytes } => self.skip(buffer, bytes),
            Step::Append { target, source } => self.append(target, source),
        }
    }

    /// H27: a fresh node lies in no other; H117: nobody can write to it but its new owner.
    fn born(
        &mut self,
        (id, start, capacity): (u32, u32, usize),
        leases: u32,
        purpose: Purpose,
    ) -> usize {
        let chunk = id >> 8;
        assert!(start as usize + capacity <= CHUNKS[chunk as usize]);
        for (other, life) in &self.lives {
            let apart = start as usize + capacity <= life.start as usize
                || life.start as usize + life.capacity <= start as usize;
            assert!(other >> 8 != chunk || apart, "{id:#x} overlaps {other:#x}");
        }
        self.tags += 1;
        let life = Life {
            tag: self.tags,
            start,
            capacity,
            purpose,
            written: start + leases,
            leases,
        };
        assert!(self.lives.insert(id, life).is_none());
        self.check_reserves(capacity, purpose);
        self.tags
    }

    /// H114: what has just been taken has left to others what is theirs.
    fn check_reserves(&self, capacity: usize, purpose: Purpose) {
        let is_input =
            |life: &&Life| life.purpose == Purpose::Input && life.capacity <= CHUNK_BYTES;
        let inputs = self.lives.values().filter(is_input);
        let input: usize = inputs.map(|life| life.capacity).sum();
        let of_input = INPUT_RESERVE.saturating_sub(input);
        let free = self.arena.bytes_divisible();
        let is_right = match purpose {
            Purpose::Any => true,
            Purpose::Input => input <= INPUT_RESERVE || free >= OUTPUT_RESERVE,
            Purpose::Room => free >= OUTPUT_RESERVE + of_input,
            Purpose::Output => capacity > CHUNK_BYTES || free >= of_input,
        };
        assert!(
            is_right,
            "{purpose:?} of {capacity}: {input} input, {free} free"
        );
    }

    fn allocate(&mut self, bytes: usize, purpose: Purpose) {
        let Some(mut node) = self.arena.allocate_for(purpose, bytes) else {
            return;
        };
        assert!(node.capacity() >= bytes && node.room() == node.capacity());
        let (id, start) = (node.id(), (node.id() & 0xFF) * 4096);
        let tag = self.born((id, start, node.capacity()), 0, purpose);
        // All of it: whoever still owned a byte of it would see the change.
        let all = expected(tag, start, node.capacity());
        node.spare().copy_from_slice(all);
        self.nodes.push(node);
    }

    fn lease_node(&mut self, bytes: usize, purpose: Purpose) {
        let Some(id) = self.arena.lease_node_for(purpose, bytes) else {
            return;
        };
        assert!(id.len as usize >= bytes);
        let tag = self.born((id.node, id.offset, id.len as usize), id.len, purpose);
        let all = expected(tag, id.offset, id.len as usize);
        let base = self.bases[(id.node >> 8) as usize];
        // SAFETY: the node lies in its chunk, as `born` has asserted.
        let start = unsafe { base.add(id.offset as usize) };
        let source = NonNull::from(all).cast::<u8>();
        // SAFETY: the target is a node whose leases are all held here, so nobody else uses it,
        // and is as long as the source, which is other memory.
        unsafe { source.copy_to_nonoverlapping(start, all.len()) };
    }

    fn commit(&mut self, node: usize, bytes: usize) {
        let Some(node) = pick_mut(&mut self.nodes, node) else {
            return;
        };
        let segment = node.commit(bytes.min(node.room()));
        let life = self.lives.get_mut(&node.id()).unwrap();
        assert_eq!(segment.id().offset, life.written);
        life.written += segment.id().len;
        self.segments.push(segment);
    }

    fn split(&mut self, segment: usize, at: usize) {
        let Some(left) = pick_mut(&mut self.segments, segment) else {
            return;
        };
        let at = at % (left.len() + 1);
        let mut right = left.clone();
        right.advance(at);
        left.truncate(at);
        self.segments.push(right);
    }

    fn join(&mut self, left: usize, right: usize) {
        let Some(right) = take(&mut self.segments, right) else {
            return;
        };
        let id = right.id();
        let Some(left) = pick_mut(&mut self.segments, left) else {
            return;
        };
        let before = left.id();
        let adjacent = before.node == id.node && before.offset + before.len == id.offset;
        match left.try_join(right) {
            Ok(()) => assert!(adjacent && left.len() == (before.len + id.len) as usize),
            Err(right) => {
                assert!(!adjacent && right.id() == id && left.id() == before);
                self.segments.push(right);
            }
        }
    }

    fn leased(&self, lease: usize) -> Option<u32> {
        let leased = self.lives.iter().filter(|(_, life)| life.leases > 0);
        let ids: Vec<u32> = leased.map(|(&id, _)| id).collect();
        pick(&ids, lease).copied()
    }

    fn retain(&mut self, lease: usize) {
        if let Some(id) = self.leased(lease) {
            assert!(self.arena.retain(id, 5));
            self.lives.get_mut(&id).unwrap().leases += 5;
        }
    }

    fn take_leased(&mut self, lease: usize, at: usize) {
        let Some(node) = self.leased(lease) else {
            return;
        };
        let life = self.lives.get_mut(&node).unwrap();
        let written = life.written - life.start;
        let skipped = u32::try_from(at).unwrap() % (written + 1);
        let id = SegmentId {
            node,
            offset: life.start + skipped,
            len: written - skipped,
        };
        let beyond = SegmentId {
            len: id.len + 1,
            ..id
        };
        assert!(self.arena.take_leased(beyond).is_none());
        self.stale += 1;
        let segment = self.arena.take_leased(id).expect("there is a lease");
        assert_eq!(segment.id(), id);
        life.leases -= 1;
        self.segments.push(segment);
    }

    fn release(&mut self, lease: usize, count: u32) {
        if let Some(id) = self.leased(lease) {
            let life = self.lives.get_mut(&id).unwrap();
            let count = count.min(life.leases);
            assert!(self.arena.release(id, count));
            life.leases -= count;
        }
    }

    /// H56: what is not there cannot be given back, whoever asks and how often.
    fn release_too_many(&mut self, lease: usize) {
        let count = self
            .leased(lease)
            .map(|id| (id, self.lives[&id].leases + 1));
        let unleased = self.lives.iter().find(|(_, life)| life.leases == 0);
        let unleased = unleased.map(|(&id, _)| (id, 1));
        for (id, count) in count.into_iter().chain(unleased) {
            assert!(!self.arena.release(id, count));
            self.stale += 1;
        }
    }

    fn stale(&mut self, (node, offset, len): (u32, u32, u32)) {
        // Half of the numbers name a chunk that is there.
        let node = if node & 1 == 0 { node & 0x3FF } else { node };
        if self.lives.contains_key(&node) {
            return;
        }
        assert!(!self.arena.release(node, len));
        assert!(!self.arena.retain(node, len));
        let id = SegmentId { node, offset, len };
        assert!(self.arena.take_leased(id).is_none());
        self.stale += 3;
    }

    fn push(&mut self, buffer: usize, segment: usize) {
        if let Some(segment) = take(&mut self.segments, segment) {
            if !segment.is_empty() {
                self.queues[buffer].push_back(segment.id());
            }
            self.buffers[buffer].push(segment);
        }
    }

    fn pop(&mut self, buffer: usize) {
        let Some(segment) = self.buffers[buffer].pop_front() else {
            assert!(self.queues[buffer].is_empty());
            return;
        };
        self.forget(buffer, segment.len());
        self.segments.push(segment);
    }

    fn skip(&mut self, buffer: usize, bytes: usize) {
        let bytes = bytes % (self.buffers[buffer].len() + 1);
        self.buffers[buffer].skip(bytes);
        self.forget(buffer, bytes);
    }

    /// Takes bytes off the front of a model queue.
    fn forget(&mut self, buffer: usize, bytes: usize) {
        let mut left = u32::try_from(bytes).unwrap();
        while left > 0 {
            let front = self.queues[buffer].front_mut().expect("not that long");
            let step = left.min(front.len);
            front.offset += step;
            front.len -= step;
            left -= step;
            if front.len == 0 {
                self.queues[buffer].pop_front();
            }
        }
    }

    fn append(&mut self, target: usize, source: usize) {
        if target == source {
            return;
        }
        let mut moved = std::mem::take(&mut self.buffers[source]);
        self.buffers[target].append(&mut moved);
        assert!(moved.is_empty());
        let moved = std::mem::take(&mut self.queues[source]);
        self.queues[target].extend(moved);
    }

    /// Ends the lives that nothing refers to, then compares all counts.
    fn check_counts(&mut self) {
        let mut referred: Vec<u32> = self.nodes.iter().map(Node::id).collect();
        referred.extend(self.segments.iter().map(|segment| segment.id().node));
        referred.extend(self.queues.iter().flatten().map(|id| id.node));
        self.lives
            .retain(|id, life| life.leases > 0 || referred.contains(id));
        let stats = self.arena.stats();
        let sum = |capacity: fn(&Life) -> usize| self.lives.values().map(capacity).sum::<usize>();
        assert_eq!(stats.nodes, self.lives.len());
        assert_eq!(stats.bytes_in_nodes, sum(|life| life.capacity));
        assert_eq!(stats.leases, sum(|life| life.leases as usize) as u64);
        let leased = sum(|life| if life.leases > 0 { life.capacity } else { 0 });
        assert_eq!((stats.bytes_leased, stats.stale), (leased, self.stale));
        let free = stats.bytes_granted - stats.bytes_in_nodes;
        assert_eq!(self.arena.bytes_free(), free);
    }

    /// H27: every byte that anybody refers to is its owner's.
    fn check_bytes(&self) {
        for segment in &self.segments {
            let id = segment.id();
            let life = &self.lives[&id.node];
            assert!(segment.as_slice() == expected(life.tag, id.offset, segment.len()));
        }
        for (buffer, queue) in self.buffers.iter().zip(&self.queues) {
            let mut bytes = vec![0; buffer.len()];
            assert_eq!(buffer.copy_to(&mut bytes), buffer.len());
            let mut rest = &bytes[..];
            for id in queue {
                let (front, back) = rest.split_at(id.len as usize);
                let life = &self.lives[&id.node];
                assert!(front == expected(life.tag, id.offset, front.len()));
                rest = back;
            }
            assert!(rest.is_empty());
            assert_eq!(buffer.chunks().count(), buffer.segment_count());
        }
    }

    /// With everything let go of, all memory is free and in as large pieces as it came.
    fn end(mut self) {
        self.nodes.clear();
        self.segments.clear();
        self.buffers.iter_mut().for_each(LinkBuffer::clear);
        self.queues = Default::default();
        for (&id, life) in &mut self.lives {
            assert!(life.leases == 0 || self.arena.release(id, life.leases));
            life.leases = 0;
        }
        self.check_counts();
        assert_eq!(self.arena.stats().nodes, 0);
        let whole = [2 * CHUNK_BYTES, CHUNK_BYTES].map(|bytes| self.arena.allocate(bytes));
        assert!(
            whole.iter().all(Option::is_some),
            "freed blocks have merged"
        );
        let quarters = std::iter::from_fn(|| self.arena.allocate(CHUNK_BYTES / 4));
        assert_eq!(quarters.collect::<Vec<_>>().len(), 2);
        drop(whole);
        let output = || self.arena.allocate_for(Purpose::Output, 1);
        let output: Vec<Node> = std::iter::from_fn(output).collect();
        let (free, count) = (self.arena.bytes_divisible(), output.len());
        assert_eq!(free, INPUT_RESERVE, "free beside {count} nodes");
    }
}

fn pick<T>(items: &[T], index: usize) -> Option<&T> {
    items.get(index.checked_rem(items.len())?)
}

fn pick_mut<T>(items: &mut [T], index: usize) -> Option<&mut T> {
    let index = index.checked_rem(items.len())?;
    items.get_mut(index)
}

fn take<T>(items: &mut Vec<T>, index: usize) -> Option<T> {
    Some(items.swap_remove(index.checked_rem(items.len())?))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn h27_h56_h117_every_byte_has_one_owner(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
            world.check_counts();
        }
        world.check_bytes();
        world.end();
    }
}
