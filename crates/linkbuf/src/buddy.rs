use crate::limits::{CHUNK_BYTES, GRANULE_BITS, GRANULE_BYTES, GRANULES, NODE_BYTES_MAX};

/// Orders of free blocks: order n is a block of 2ⁿ granules, up to a whole standard chunk.
const ORDERS: usize = GRANULE_BITS as usize + 1;
/// The list of chunks longer than a standard one, which are never divided.
const OVERSIZE: usize = ORDERS;
#[expect(clippy::cast_possible_truncation, reason = "4096 is short")]
const GRANULE: u32 = GRANULE_BYTES as u32;
const WHOLE_CHUNK: usize = ORDERS - 1;
const NONE: u32 = u32::MAX;

/// Which ranges of which chunks are free.
///
/// A buddy allocator: a block is a power of two granules long and starts at a multiple of its
/// length, so the one block it can merge with is found by flipping a bit. Free blocks of an order
/// form a doubly linked list through their slots; the last one freed is the first one used again,
/// as its bytes are the likeliest to be in a cache.
///
/// ```text
/// heads[2] ─▶ chunk 3 slot 8 ⇄ chunk 0 slot 4        a slot a granule; the first slot of a
/// heads[8] ─▶ chunk 5 slot 0                         block speaks for all of it
/// heads[9] ─▶ chunk 7 slot 0 (longer than standard, has this one slot)
/// ```
pub(crate) struct Buddy {
    chunks: Vec<Slots>,
    heads: [u32; ORDERS + 1],
}

/// A range that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Chunk index and first granule, as in the id of a node.
    pub(crate) id: u32,
    pub(crate) bytes: u32,
}

#[derive(Default)]
struct Slots {
    granules: u32,
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy)]
struct Slot {
    previous: u32,
    next: u32,
    order: u8,
    kind: Kind,
    /// What whoever took the block has noted.
    mark: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Not the first granule of a block.
    Inside,
    Free,
    Used,
}

impl Buddy {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            heads: [NONE; ORDERS + 1],
        }
    }

    /// Adds a chunk, all free. Chunks may come in any order of their indices, each once.
    pub(crate) fn insert(&mut self, chunk_index: u32, granules: u32) {
        let index = chunk_index as usize;
        if self.chunks.len() <= index {
            self.chunks.resize_with(index + 1, Slots::default);
        }
        assert!(self.chunks[index].granules == 0, "a chunk is added once");
        self.chunks[index] = Slots::new(granules);
        let first = chunk_index << GRANULE_BITS;
        if granules > GRANULES {
            self.link(first, OVERSIZE);
            return;
        }
        let mut granule = 0;
        while granule < granules {
            // The largest block that may start here and still ends inside the chunk.
            let aligned = (granule | GRANULES).trailing_zeros();
            let order = aligned.min((granules - granule).ilog2());
            self.link(first | granule, order as usize);
            granule += 1 << order;
        }
    }

    /// Takes a free block of the smallest fitting size.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Option<Block> {
        if bytes > CHUNK_BYTES {
            return self.allocate_oversize(bytes);
        }
        if bytes > NODE_BYTES_MAX {
            let whole = self.allocate_order(WHOLE_CHUNK);
            return whole.or_else(|| self.allocate_oversize(bytes));
        }
        self.allocate_order(class_granules(bytes).ilog2() as usize)
    }

    /// Of a block for so many bytes, how many would be taken from chunks that are divided.
    pub(crate) fn divided_bytes(bytes: usize) -> usize {
        match bytes {
            0..=NODE_BYTES_MAX => class_granules(bytes) * GRANULE_BYTES,
            _ if bytes <= CHUNK_BYTES => CHUNK_BYTES,
            _ => 0,
        }
    }

    /// Notes something about a block in use, for whoever gives it back.
    pub(crate) fn mark(&mut self, id: u32) {
        self.slot_mut(id).mark = true;
    }

    /// Gives a block back and merges it with its free neighbours. Answers its length in bytes, and
    /// whether it was marked.
    pub(crate) fn free(&mut self, id: u32) -> (u32, bool) {
        let slot = self.slot(id);
        assert!(slot.kind == Kind::Used, "a block is given back once");
        let bytes = self.bytes_of(id);
        let mut order = slot.order as usize;
        let mut id = id;
        self.slot_mut(id).kind = Kind::Inside;
        while let Some(buddy) = self.free_buddy(id, order) {
            self.unlink(buddy);
            id &= buddy;
            order += 1;
        }
        self.link(id, order);
        (bytes, slot.mark)
    }

    /// The blocks of a chunk that are in use.
    pub(crate) fn used(&self, chunk_index: u32) -> impl Iterator<Item = Block> {
        let slots = self.chunks.get(chunk_index as usize);
        (chunk_index << GRANULE_BITS..)
            .zip(slots.map_or(&[][..], |slots| &slots.slots))
            .filter(|(_, slot)| slot.kind == Kind::Used)
            .map(|(id, _)| Block {
                id,
                bytes: self.bytes_of(id),
            })
    }

    fn allocate_order(&mut self, wanted: usize) -> Option<Block> {
        let found = (wanted..ORDERS).find(|&order| self.heads[order] != NONE)?;
        let id = self.heads[found];
        self.unlink(id);
        for order in (wanted..found).rev() {
            self.link(id | 1 << order, order);
        }
        Some(self.mark_used(id, wanted))
    }

    /// The shortest chunk that fits. Such chunks are few, so looking at each is cheap.
    fn allocate_oversize(&mut self, bytes: usize) -> Option<Block> {
        let mut best: Option<Block> = None;
        let mut id = self.heads[OVERSIZE];
        while id != NONE {
            let block = Block {
                id,
                bytes: self.bytes_of(id),
            };
            let fits = block.bytes as usize >= bytes;
            if fits && best.is_none_or(|best| block.bytes < best.bytes) {
                best = Some(block);
            }
            id = self.slot(id).next;
        }
        let id = best?.id;
        self.unlink(id);
        Some(self.mark_used(id, OVERSIZE))
    }

    fn mark_used(&mut self, id: u32, order: usize) -> Block {
        let slot = self.slot_mut(id);
        slot.order = order_byte(order);
        slot.kind = Kind::Used;
        slot.mark = false;
        Block {
            id,
            bytes: self.bytes_of(id),
        }
    }

    /// The block that this one merges with, if it is free and whole.
    fn free_buddy(&self, id: u32, order: usize) -> Option<u32> {
        if order >= WHOLE_CHUNK {
            return None;
        }
        let buddy = id ^ 1 << order;
        let slots = &self.chunks[chunk_of(buddy)].slots;
        // A short chunk may end before the buddy begins.
        let slot = slots.get(granule_of(buddy))?;
        (slot.kind == Kind::Free && slot.order as usize == order).then_some(buddy)
    }

    fn link(&mut self, id: u32, order: usize) {
        let next = self.heads[order];
        *self.slot_mut(id) = Slot {
            previous: NONE,
            next,
            order: order_byte(order),
            kind: Kind::Free,
            mark: false,
        };
        if next != NONE {
            self.slot_mut(next).previous = id;
        }
        self.heads[order] = id;
    }

    fn unlink(&mut self, id: u32) {
        let slot = self.slot(id);
        debug_assert!(slot.kind == Kind::Free, "only free blocks are linked");
        match slot.previous {
            NONE => self.heads[slot.order as usize] = slot.next,
            previous => self.slot_mut(previous).next = slot.next,
        }
        if slot.next != NONE {
            self.slot_mut(slot.next).previous = slot.previous;
        }
        self.slot_mut(id).kind = Kind::Inside;
    }

    fn bytes_of(&self, id: u32) -> u32 {
        let granules = match self.slot(id).order as usize {
            OVERSIZE => self.chunks[chunk_of(id)].granules,
            order => 1 << order,
        };
        granules * GRANULE
    }

    fn slot(&self, id: u32) -> Slot {
        self.chunks[chunk_of(id)].slots[granule_of(id)]
    }

    fn slot_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.chunks[chunk_of(id)].slots[granule_of(id)]
    }
}

impl Slots {
    fn new(granules: u32) -> Self {
        let slot = Slot {
            previous: NONE,
            next: NONE,
            order: 0,
            kind: Kind::Inside,
            mark: false,
        };
        Self {
            granules,
            slots: vec![slot; slot_count(granules)].into_boxed_slice(),
        }
    }
}

/// How many nodes a chunk of so many granules may hold at most.
pub(crate) fn slot_count(granules: u32) -> usize {
    if granules > GRANULES {
        1
    } else {
        granules as usize
    }
}

/// The index of the chunk that an id names.
pub(crate) fn chunk_of(id: u32) -> usize {
    (id >> GRANULE_BITS) as usize
}

/// The first granule, within its chunk, that an id names.
pub(crate) fn granule_of(id: u32) -> usize {
    (id & (GRANULES - 1)) as usize
}

/// Granules of the smallest block that is carved from a chunk for so many bytes.
fn class_granules(bytes: usize) -> usize {
    bytes.div_ceil(GRANULE_BYTES).max(1).next_power_of_two()
}

fn order_byte(order: usize) -> u8 {
    u8::try_from(order).expect("there are ten lists")
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const GRANULES_SHORT: u32 = 11;

    fn buddy_with(granules: u32) -> Buddy {
        let mut buddy = Buddy::new();
        buddy.insert(0, granules);
        buddy
    }

    #[test]
    fn a_block_is_the_smallest_class_that_holds_the_bytes() {
        let mut buddy = buddy_with(GRANULES);
        for (bytes, class) in [(0, 4096), (4096, 4096), (4097, 8192), (262_144, 262_144)] {
            assert_eq!(buddy.allocate(bytes).unwrap().bytes, class);
        }
    }

    #[test]
    fn a_large_block_takes_a_whole_chunk() {
        let mut buddy = buddy_with(GRANULES);
        let block = buddy.allocate(NODE_BYTES_MAX + 1).unwrap();
        assert_eq!((block.id, block.bytes as usize), (0, CHUNK_BYTES));
        assert_eq!(buddy.allocate(1), None);
    }

    #[test]
    fn blocks_never_overlap_and_fill_the_chunk() {
        let mut buddy = buddy_with(GRANULES);
        let mut owned = [false; GRANULES as usize];
        for bytes in [4096, 65_536, 8192, 4096, 32_768].into_iter().cycle() {
            let Some(block) = buddy.allocate(bytes) else {
                break;
            };
            let first = granule_of(block.id);
            for granule in &mut owned[first..first + (block.bytes / GRANULE) as usize] {
                assert!(!*granule, "{block:?} overlaps another");
                *granule = true;
            }
        }
        while let Some(block) = buddy.allocate(1) {
            owned[granule_of(block.id)] = true;
        }
        assert!(owned.iter().all(|&granule| granule));
    }

    #[test]
    fn freed_neighbours_merge_in_any_order() {
        let mut buddy = buddy_with(GRANULES);
        let mut ids: Vec<u32> = (0..GRANULES)
            .map(|_| buddy.allocate(1).unwrap().id)
            .collect();
        // Every id once, in an order that frees no two neighbours in a row.
        ids.sort_by_key(|id| (id * 97) % GRANULES);
        for id in ids {
            assert_eq!(buddy.free(id), (GRANULE, false));
        }
        assert!(buddy.allocate(CHUNK_BYTES).is_some());
    }

    #[test]
    fn a_short_chunk_is_used_to_its_last_granule_and_merges_within_its_end() {
        let mut buddy = buddy_with(GRANULES_SHORT);
        for _ in 0..3 {
            let ids: Vec<u32> = std::iter::from_fn(|| buddy.allocate(1))
                .map(|block| block.id)
                .collect();
            assert_eq!(ids.len(), GRANULES_SHORT as usize);
            for id in ids {
                buddy.free(id);
            }
            let largest = buddy.allocate(8 * GRANULE_BYTES).unwrap();
            assert_eq!(largest.id, 0);
            buddy.free(largest.id);
        }
    }

    #[test]
    fn a_longer_chunk_is_one_block_and_the_best_fit_is_taken() {
        let mut buddy = Buddy::new();
        buddy.insert(1, 4 * GRANULES);
        buddy.insert(0, 2 * GRANULES);
        buddy.insert(2, 3 * GRANULES);
        assert_eq!(buddy.allocate(4096), None);
        let block = buddy.allocate(CHUNK_BYTES + 1).unwrap();
        assert_eq!(block.id, 0);
        assert_eq!(block.bytes as usize, 2 * CHUNK_BYTES);
        assert_eq!(
            buddy.allocate(4 * CHUNK_BYTES).unwrap().id,
            1 << GRANULE_BITS
        );
        assert_eq!(buddy.free(0).0 as usize, 2 * CHUNK_BYTES);
        assert_eq!(buddy.allocate(2 * CHUNK_BYTES).unwrap().id, 0);
    }

    #[test]
    fn a_large_block_takes_a_longer_chunk_when_no_standard_one_is_whole() {
        let mut buddy = buddy_with(GRANULES);
        buddy.insert(1, 2 * GRANULES);
        buddy.allocate(1).unwrap();
        let block = buddy.allocate(NODE_BYTES_MAX + 1).unwrap();
        assert_eq!(chunk_of(block.id), 1);
    }

    #[test]
    fn the_block_freed_last_is_used_first() {
        let mut buddy = buddy_with(GRANULES);
        let ids: Vec<u32> = (0..6).map(|_| buddy.allocate(1).unwrap().id).collect();
        buddy.free(ids[0]);
        buddy.free(ids[4]);
        buddy.free(ids[2]);
        let again: Vec<u32> = (0..3).map(|_| buddy.allocate(1).unwrap().id).collect();
        assert_eq!(again, [ids[2], ids[4], ids[0]]);
    }

    #[test]
    fn a_mark_lasts_until_the_block_is_given_back() {
        let mut buddy = buddy_with(GRANULES);
        let ids: Vec<u32> = (0..4).map(|_| buddy.allocate(1).unwrap().id).collect();
        buddy.mark(ids[1]);
        assert_eq!(buddy.free(ids[1]), (GRANULE, true));
        assert_eq!(buddy.allocate(1).unwrap().id, ids[1]);
        for id in ids {
            assert_eq!(buddy.free(id), (GRANULE, false));
        }
    }

    #[test]
    fn what_a_block_takes_of_divided_chunks_is_known_before() {
        for bytes in [0, 1, 4097, 65_536, NODE_BYTES_MAX, NODE_BYTES_MAX + 1] {
            let mut buddy = buddy_with(GRANULES);
            let block = buddy.allocate(bytes).unwrap();
            assert_eq!(Buddy::divided_bytes(bytes), block.bytes as usize);
        }
        assert_eq!(Buddy::divided_bytes(CHUNK_BYTES + 1), 0);
    }

    #[test]
    #[should_panic(expected = "a block is given back once")]
    fn h56_a_block_given_back_twice_is_a_bug() {
        let mut buddy = buddy_with(GRANULES);
        let id = buddy.allocate(1).unwrap().id;
        buddy.free(id);
        buddy.free(id);
    }
}
