//! The arena's shipped types under every order of steps that two or three threads can take.

use crate::sync::{Arc, AtomicU32, Ordering};
use crate::{Arena, Chunk, GRANULE_BYTES, Segment, SegmentId};
use loom::thread;

/// An arena of one node, so that each allocation takes the range that was freed before.
fn arena() -> Arena {
    let arena = Arena::new(GRANULE_BYTES);
    arena.grant(Chunk::boxed(GRANULE_BYTES)).unwrap();
    arena
}

fn first_bytes(len: u32) -> SegmentId {
    SegmentId {
        node: 0,
        offset: 0,
        len,
    }
}

#[test]
fn loom_h27_a_node_is_freed_once_and_not_before_its_readers_are_done() {
    loom::model(|| {
        let arena = arena();
        let segment = arena.allocate(1).unwrap().write(b"a");
        let other = segment.clone();
        let handle = arena.clone();
        let reader = thread::spawn(move || {
            assert_eq!(other.clone().as_slice(), b"a");
            drop(other);
            // Succeeds only if the other thread is done as well.
            if let Some(mut node) = handle.allocate(1) {
                assert_eq!(node.write(b"b").as_slice(), b"b");
            }
        });
        assert_eq!(segment.as_slice(), b"a");
        drop(segment);
        if let Some(mut node) = arena.allocate(1) {
            assert_eq!(node.write(b"c").as_slice(), b"c");
        }
        reader.join().unwrap();
        assert_eq!((arena.stats().nodes, arena.stats().stale), (0, 0));
        assert!(arena.allocate(1).is_some());
    });
}

#[test]
fn loom_h27_a_lease_ends_on_one_thread_and_the_segment_on_another() {
    loom::model(|| {
        let arena = arena();
        let segment = arena.allocate(1).unwrap().write(b"a");
        let id = segment.lease();
        let handle = arena.clone();
        let other = thread::spawn(move || {
            assert!(handle.release(id.node, 1));
            if let Some(mut node) = handle.allocate(1) {
                assert_eq!(node.write(b"b").as_slice(), b"b");
            }
        });
        assert_eq!(segment.clone().as_slice(), b"a");
        drop(segment);
        other.join().unwrap();
        assert_eq!((arena.stats().nodes, arena.stats().leases), (0, 0));
        assert_eq!(arena.stats().stale, 0);
        assert!(arena.allocate(1).is_some());
    });
}

#[test]
fn loom_h56_of_a_release_and_a_take_of_one_lease_exactly_one_succeeds() {
    loom::model(|| {
        let arena = arena();
        let id = arena.allocate(1).unwrap().write(b"a").into_lease();
        let handle = arena.clone();
        let other = thread::spawn(move || handle.release(id.node, 1));
        let segment = arena.take_leased(id);
        let taken = segment.is_some();
        if let Some(segment) = segment {
            assert_eq!(segment.as_slice(), b"a");
        }
        let released = other.join().unwrap();
        assert!(taken != released);
        assert_eq!((arena.stats().nodes, arena.stats().stale), (0, 1));
        assert!(arena.allocate(1).is_some());
    });
}

#[test]
fn loom_h56_two_releases_of_one_lease_free_once() {
    loom::model(|| {
        let arena = arena();
        let id = arena.allocate(1).unwrap().write(b"a").into_lease();
        let handle = arena.clone();
        let other = thread::spawn(move || handle.release(id.node, 1));
        let released = arena.release(id.node, 1);
        assert!(released != other.join().unwrap());
        assert_eq!((arena.stats().nodes, arena.stats().stale), (0, 1));
    });
}

/// One thread makes a lease, another finds it by number, ordered by nothing but the count.
fn take_while_leasing(lease: fn(Segment) -> SegmentId) {
    loom::model(move || {
        let arena = arena();
        let handle = arena.clone();
        let other = thread::spawn(move || {
            let header = handle.core().header(0).unwrap();
            let is_leased = header.count().lease_count() > 0;
            let segment = handle.take_leased(first_bytes(1));
            // Who has seen the lease must see that its bytes are written, too.
            assert!(segment.is_some() || !is_leased);
            segment.is_some_and(|segment| segment.as_slice() == b"a")
        });
        // Lives on, as its end would publish what it wrote.
        let mut node = arena.allocate(1).unwrap();
        assert_eq!(lease(node.write(b"a")), first_bytes(1));
        let taken = other.join().unwrap();
        assert_eq!(arena.stats().leases, u64::from(!taken));
        assert_eq!(arena.stats().stale, u64::from(!taken));
    });
}

#[test]
fn loom_h89_who_takes_a_lease_by_number_sees_its_bytes() {
    take_while_leasing(|segment| segment.lease());
}

#[test]
fn loom_h89_who_takes_what_was_a_segment_sees_its_bytes() {
    take_while_leasing(Segment::into_lease);
}

#[test]
fn loom_h89_who_takes_a_part_of_a_leased_node_sees_that_it_is_one() {
    loom::model(|| {
        let arena = arena();
        let handle = arena.clone();
        let other = thread::spawn(move || {
            let header = handle.core().header(0).unwrap();
            let is_leased = header.count().lease_count() > 0;
            assert!(handle.take_leased(first_bytes(7)).is_some() || !is_leased);
        });
        assert!(arena.lease_node(1).is_some());
        other.join().unwrap();
    });
}

#[test]
fn loom_h89_who_finds_a_chunk_sees_its_headers() {
    loom::model(|| {
        let arena = Arena::new(GRANULE_BYTES);
        let handle = arena.clone();
        let other = thread::spawn(move || {
            if let Some(header) = handle.core().header(0) {
                header.access().read();
                assert_eq!(header.id(), 0);
            }
        });
        arena.grant(Chunk::boxed(GRANULE_BYTES)).unwrap();
        other.join().unwrap();
    });
}

#[test]
fn loom_h27_what_a_holder_of_a_lease_reads_is_not_reused_before_its_release() {
    loom::model(|| {
        let arena = arena();
        let segment = arena.allocate(1).unwrap().write(b"a");
        assert_eq!(segment.lease(), segment.into_lease());
        let read_and_release = |arena: &Arena| {
            // The other side reads without a segment; this stands for it.
            arena.core().header(0).unwrap().access().read();
            assert!(arena.release(0, 1));
            // Takes the memory if this was the last lease. The next owner must come after all
            // reads.
            drop(arena.allocate(1));
        };
        let handle = arena.clone();
        let other = thread::spawn(move || read_and_release(&handle));
        read_and_release(&arena);
        other.join().unwrap();
        assert!(arena.allocate(1).is_some());
    });
}

#[test]
fn loom_h117_a_stale_number_never_reaches_what_a_new_writer_has_not_committed() {
    loom::model(|| {
        let arena = arena();
        let id = arena.allocate(1).unwrap().write(b"aa").into_lease();
        let handle = arena.clone();
        let other = thread::spawn(move || {
            let segment = handle.take_leased(id);
            // Two bytes are there only in the node's first life.
            assert!(segment.is_none_or(|segment| segment.as_slice() == b"aa"));
        });
        if arena.release(id.node, 1)
            && let Some(mut node) = arena.allocate(1)
        {
            let again = node.write(b"b").into_lease();
            drop(node);
            assert!(arena.release(again.node, 1));
        }
        other.join().unwrap();
        assert_eq!(arena.stats().nodes, 0);
    });
}

#[test]
fn loom_on_room_is_not_lost() {
    loom::model(|| {
        let arena = arena();
        let calls = Arc::new(AtomicU32::new(0));
        let called = Arc::clone(&calls);
        arena.on_room(Box::new(move || {
            called.fetch_add(1, Ordering::Relaxed);
        }));
        let segment = arena.allocate(1).unwrap().write(b"a");
        let owner = thread::spawn(move || drop(segment));
        let starved = arena.allocate(1).is_none();
        owner.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), u32::from(starved));
        assert!(arena.allocate(1).is_some());
    });
}

#[test]
fn loom_h110_the_memory_outlives_the_last_segment_on_any_thread() {
    loom::model(|| {
        let arena = arena();
        let segment = arena.allocate(1).unwrap().write(b"a");
        let lease = segment.lease();
        let other = segment.clone();
        let reader = thread::spawn(move || assert_eq!(other.as_slice(), b"a"));
        drop(arena);
        assert_eq!((segment.as_slice(), lease), (&b"a"[..], first_bytes(1)));
        drop(segment);
        reader.join().unwrap();
        // Loom reports the arena as leaked if it was not dropped.
    });
}

#[test]
fn loom_h110_two_nodes_that_outlive_the_arena_end_on_two_threads() {
    loom::model(|| {
        let arena = Arena::new(2 * GRANULE_BYTES);
        arena.grant(Chunk::boxed(2 * GRANULE_BYTES)).unwrap();
        let [first, second] = [b"a", b"b"].map(|text| arena.allocate(1).unwrap().write(text));
        drop(arena);
        let other = thread::spawn(move || assert_eq!(first.as_slice(), b"a"));
        assert_eq!(second.as_slice(), b"b");
        drop(second);
        other.join().unwrap();
    });
}

#[test]
fn loom_h27_memory_of_its_own_is_freed_once_and_not_before_its_readers_are_done() {
    loom::model(|| {
        let segment = Segment::own(b"own".to_vec()).unwrap();
        let other = segment.clone();
        let reader = thread::spawn(move || {
            assert_eq!(other.clone().as_slice(), b"own");
            drop(other);
        });
        assert_eq!(segment.as_slice(), b"own");
        drop(segment);
        reader.join().unwrap();
    });
}

#[test]
fn loom_h32_a_node_is_begun_again_only_after_its_readers_are_done() {
    loom::model(|| {
        let arena = arena();
        let mut node = arena.allocate(1).unwrap();
        let segment = node.write(b"a");
        let reader = thread::spawn(move || {
            assert_eq!(segment.as_slice(), b"a");
            drop(segment);
        });
        let rewound = node.try_rewind();
        let again = node.write(b"b");
        assert_eq!(again.id().offset, u32::from(!rewound));
        reader.join().unwrap();
    });
}

#[test]
fn loom_h32_a_leased_node_is_not_begun_again() {
    loom::model(|| {
        let arena = arena();
        let mut node = arena.allocate(1).unwrap();
        let id = node.write(b"a").into_lease();
        let handle = arena.clone();
        let other = thread::spawn(move || {
            let segment = handle.take_leased(id);
            // By number alone, so it may be too late; but then it is told so.
            assert!(segment.is_none_or(|segment| segment.as_slice() == b"a"));
        });
        let released = arena.release(id.node, 1);
        if node.try_rewind() {
            node.spare()[0] = b'b';
        }
        other.join().unwrap();
        // One of the two has had the lease, the other was told that it is not there.
        assert_eq!((arena.stats().leases, arena.stats().stale), (0, 1));
        assert!(released || node.try_rewind());
    });
}

#[test]
fn loom_h117_room_is_taken_only_while_nobody_else_refers_to_the_node() {
    loom::model(|| {
        let arena = arena();
        let leased = arena.lease_node(2).unwrap();
        assert!(arena.release(0, leased.len - 2));
        let handle = arena.clone();
        // Another part of the node, which must not be written while it is read.
        let other = thread::spawn(move || {
            let segment = handle.take_leased(first_bytes(1)).unwrap();
            let _ = segment.as_slice();
        });
        if let Some(mut node) = arena.take_room(leased) {
            assert_eq!(node.write(b"b").as_slice(), b"b");
        }
        other.join().unwrap();
        // Who came too early has left the lease where it was.
        let stats = arena.stats();
        assert_eq!(stats.nodes, usize::from(stats.leases > 0));
    });
}
