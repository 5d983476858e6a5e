//! What takes memory of the heap and what does not, counted by the allocator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkbuf::{Arena, CHUNK_BYTES, Chunk, LinkBuffer, NocopyBuffer, Segment};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came; counting in a thread-local
// that needs no initialisation and has no destructor does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: our caller keeps a contract, and the call made here has the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        FREED.set(FREED.get() + 1);
        // SAFETY: our caller keeps a contract, and the call made here has the same one.
        unsafe { System.dealloc(ptr, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations the call makes on this thread.
fn allocations<T>(call: impl FnOnce() -> T) -> usize {
    let before = ALLOCATIONS.get();
    drop(call());
    ALLOCATIONS.get() - before
}

fn arena() -> Arena {
    let arena = Arena::new(CHUNK_BYTES);
    arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
    arena
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| vec![1]), 1);
}

#[test]
fn h30_a_thousand_peeks_across_nodes_allocate_for_the_first_only() {
    let mut buffer = NocopyBuffer::read_only();
    for _ in 0..3 {
        buffer.receive(Segment::own(vec![1; 8192]).unwrap());
    }
    let peek = |len| allocations(|| buffer.peek(len, 100).unwrap().len());
    assert_eq!(peek(8193), 1);
    assert_eq!((0..1000).map(|_| peek(8193)).sum::<usize>(), 0);
    assert_eq!((0..1000).map(|less| peek(8193 - less)).sum::<usize>(), 0);
}

#[test]
fn h36_memory_of_its_own_is_freed_with_its_last_reference() {
    let freed = FREED.get();
    let allocated = allocations(|| {
        let segment = Segment::own(vec![1; 100]).unwrap();
        let mut queue = LinkBuffer::new();
        queue.push(segment.clone());
        drop(segment);
        assert_eq!(FREED.get(), freed);
        queue.skip(100);
    });
    assert_eq!((allocated, FREED.get() - freed), (2, 2));
}

#[test]
fn reading_within_nodes_allocates_nothing() {
    let arena = arena();
    let mut buffer = NocopyBuffer::new(&arena);
    buffer.write_binary(&[1; 8192]).unwrap();
    buffer.flush();
    let reads = || {
        for _ in 0..100 {
            buffer.next(10).unwrap();
            buffer.peek(10, 5).unwrap();
            buffer.read_u64_be().unwrap();
            buffer.peek_u16_le(3).unwrap();
            buffer.until(b"\x01").unwrap();
            buffer.skip(1).unwrap();
            buffer.slice(2).unwrap();
        }
    };
    assert_eq!(allocations(reads), 0);
}

#[test]
fn a_buffer_in_use_allocates_nothing_once_it_has_its_node() {
    let arena = arena();
    let mut buffer = NocopyBuffer::new(&arena);
    let mut turn = || {
        buffer.malloc(64).unwrap().fill(1);
        buffer.write_u32_be(5).unwrap();
        buffer.flush();
        buffer.next(68).unwrap();
        buffer.release();
    };
    turn();
    assert_eq!(allocations(|| (0..1000).for_each(|_| turn())), 0);
}

#[test]
fn an_empty_queue_and_one_of_one_segment_take_no_memory() {
    let arena = arena();
    let mut node = arena.allocate(100).unwrap();
    assert_eq!(size_of::<LinkBuffer>(), 32);
    let queue = || {
        let mut queue = LinkBuffer::new();
        queue.push(node.write(b"bytes"));
        queue.skip(2);
        queue
    };
    assert_eq!(allocations(queue), 0);
    assert_eq!(allocations(NocopyBuffer::read_only), 0);
}

#[test]
fn h105_a_rest_takes_a_header_and_its_bytes() {
    let arena = arena();
    let mut queue = LinkBuffer::new();
    queue.push(arena.allocate(1).unwrap().write(b"b"));
    assert_eq!(allocations(|| queue.compact()), 2);
    assert_eq!(allocations(|| queue.compact()), 0);
}
