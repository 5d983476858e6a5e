//! What a buffer promises, case by case. Sequences of everything are in `nocopy_model.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkbuf::{
    Arena, BufferError, CHUNK_BYTES, CHUNK_BYTES_MAX, Chunk, GRANULE_BYTES, NODE_BYTES_MAX,
    NocopyBuffer, Segment, WRITE_NODE_BYTES_MIN,
};

fn arena() -> Arena {
    let arena = Arena::new(CHUNK_BYTES);
    arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
    arena
}

/// A buffer of flushed bytes, each piece in a node of its own.
fn buffer(pieces: &[&str]) -> NocopyBuffer {
    let mut buffer = NocopyBuffer::read_only();
    for piece in pieces {
        buffer.receive(Segment::own(piece.as_bytes().to_vec()).unwrap());
    }
    buffer
}

fn text(buffer: &NocopyBuffer) -> String {
    String::from_utf8(buffer.chunks().collect::<Vec<_>>().concat()).unwrap()
}

fn written(arena: &Arena, bytes: &[u8]) -> NocopyBuffer {
    let mut buffer = NocopyBuffer::new(arena);
    buffer.write_binary(bytes).unwrap();
    buffer.flush();
    buffer
}

#[test]
fn an_empty_buffer_is_small_and_a_slice_too() {
    assert!(size_of::<NocopyBuffer>() <= 128);
    let arena = arena();
    let buffer = NocopyBuffer::new(&arena);
    let buffer = std::thread::spawn(|| buffer).join().unwrap();
    assert_eq!((buffer.len(), buffer.malloc_length()), (0, 0));
    assert_eq!(arena.stats().nodes, 0);
}

#[test]
fn h29_a_peek_is_valid_after_what_it_shows_was_consumed() {
    let arena = arena();
    let mut buffer = written(&arena, &[7; GRANULE_BYTES]);
    buffer.write_binary(&[7; 100]).unwrap();
    buffer.flush();
    let exposed = buffer.peek(16, 0).unwrap();
    let across = buffer.peek(64, GRANULE_BYTES - 32).unwrap();
    buffer.read_binary(GRANULE_BYTES + 50).unwrap();
    // Other traffic, which would take the nodes if they had been given back.
    let mut others: Vec<_> = std::iter::from_fn(|| arena.allocate(1)).collect();
    for node in &mut others {
        node.spare().fill(9);
    }
    assert_eq!((exposed, across), (&[7; 16][..], &[7; 64][..]));
    assert_eq!(buffer.stats().bytes_held, GRANULE_BYTES + 50);
    buffer.release();
    assert_eq!(buffer.stats().bytes_held, 0);
    assert!(arena.allocate(1).is_some(), "the first node has come back");
}

#[test]
fn h30_a_peek_across_nodes_copies_once_and_follows_what_is_consumed() {
    let mut buffer = NocopyBuffer::read_only();
    for index in 0..100_u8 {
        buffer.receive(Segment::own(vec![index; 8192]).unwrap());
    }
    for _ in 0..1024 {
        let view = buffer.peek(8193, 0).unwrap();
        assert_eq!((view[0], view[8192]), (0, 1));
    }
    let stats = buffer.stats();
    assert_eq!((stats.copies_held, stats.bytes_copied), (1, 16_384));
    for consumed in 1..10 {
        buffer.skip(1000).unwrap();
        let view = buffer.peek(8193, 0).unwrap();
        assert_eq!(usize::from(view[8192]), (consumed * 1000 + 8192) / 8192);
    }
    buffer.release();
    assert_eq!(buffer.stats().copies_held, 0);
}

#[test]
fn h30_peeks_of_growing_length_copy_each_byte_a_few_times() {
    let buffer = buffer(&vec!["x"; 10_000]);
    for len in 1..=10_000 {
        assert_eq!(buffer.peek(len, 0).unwrap().len(), len);
    }
    let stats = buffer.stats();
    assert!(stats.copies_held <= 15 && stats.bytes_copied < 30_000);
}

#[test]
fn a_view_within_a_node_is_not_a_copy() {
    let buffer = buffer(&["abcd", "efgh"]);
    let first = buffer.next(4).unwrap();
    let second = buffer.next(3).unwrap();
    assert_eq!((first, second), (&b"abcd"[..], &b"efg"[..]));
    assert_eq!(buffer.stats().bytes_copied, 0);
}

#[test]
fn a_number_across_nodes_makes_no_view() {
    let buffer = buffer(&["\0\0\0", "\x01", "\x02\0\0\0"]);
    assert_eq!(buffer.peek_u32_be(0), Ok(1));
    assert_eq!(buffer.peek_u32_le(4), Ok(2));
    assert_eq!(buffer.peek_u32_le(5), Err(BufferError::ShortBuffer));
    assert_eq!(buffer.read_u64_be(), Ok(1 << 32 | 2 << 24));
    assert_eq!(buffer.read_u8(), Err(BufferError::ShortBuffer));
    assert_eq!(buffer.stats().copies_held, 0);
}

#[test]
fn what_cannot_be_read_is_an_error_and_consumes_nothing() {
    let buffer = buffer(&["abc", "de"]);
    let short = BufferError::ShortBuffer;
    assert_eq!(buffer.next(6), Err(short));
    assert_eq!(buffer.peek(1, 5), Err(short));
    assert_eq!(buffer.peek(usize::MAX, 1), Err(short));
    assert_eq!(buffer.peek(1, usize::MAX), Err(short));
    assert_eq!(buffer.skip(6), Err(short));
    assert_eq!(buffer.read_binary(usize::MAX), Err(short));
    assert_eq!(buffer.read_string(6), Err(short));
    assert_eq!(buffer.slice(6).map(|_| ()), Err(short));
    assert_eq!(buffer.until(b"f"), Ok(None));
    assert_eq!(buffer.until(b""), Err(BufferError::InvalidArgument));
    assert_eq!(text(&buffer), "abcde");
}

#[test]
fn a_delimiter_is_found_across_nodes_and_not_in_what_is_unflushed() {
    let arena = arena();
    let mut buffer = NocopyBuffer::new(&arena);
    for piece in ["ab\r", "\r", "\n\r\nc"] {
        buffer.receive(Segment::own(piece.as_bytes().to_vec()).unwrap());
    }
    assert_eq!(buffer.index_of(b"\r\n", 0), Ok(Some(3)));
    assert_eq!(buffer.index_of(b"\r\n", 4), Ok(Some(5)));
    assert_eq!(buffer.index_of(b"\r\n", 6), Ok(None));
    assert_eq!(buffer.index_of(b"\r\r\n\r\nc", 0), Ok(Some(2)));
    buffer.write_string("\r\n").unwrap();
    assert_eq!(buffer.until(b"c\r"), Ok(None));
    buffer.flush();
    assert_eq!(buffer.until(b"c\r"), Ok(Some(&b"ab\r\r\n\r\nc\r"[..])));
    assert_eq!(text(&buffer), "\n");
}

#[test]
fn each_byte_of_a_delimiter_across_nodes_is_compared() {
    for (pieces, found) in [
        (&["xa", "b", "cdx"][..], Some(1)),
        (&["-ax", "cd"], None),
        (&["ab", "x", "d"], None),
        (&["a", "b", "cx"], None),
        (&["aab", "cd"], Some(1)),
        (&["ab", "c"], None),
    ] {
        assert_eq!(buffer(pieces).index_of(b"abcd", 0), Ok(found), "{pieces:?}");
    }
}

#[test]
fn a_string_that_is_not_utf8_is_mended() {
    let mut buffer = NocopyBuffer::read_only();
    for bytes in [&b"\xC3"[..], b"\xA4\xFFa", b"\xE2\x82"] {
        buffer.receive(Segment::own(bytes.to_vec()).unwrap());
    }
    assert_eq!(buffer.read_string(4).unwrap(), "ä\u{FFFD}a");
    assert_eq!(buffer.read_string(2).unwrap(), "\u{FFFD}");
}

#[test]
fn h31_write_direct_puts_bytes_before_what_was_reserved_without_moving_it() {
    let arena = arena();
    let segment = |text: &str| Segment::own(text.as_bytes().to_vec()).unwrap();
    for remain in 0..=6 {
        for kept in 0..=9 {
            let mut buffer = NocopyBuffer::new(&arena);
            buffer.malloc(6).unwrap().copy_from_slice(b"abcdef");
            buffer.write_direct(segment("-+-"), remain).unwrap();
            let whole = format!("{}-+-{}", &"abcdef"[..6 - remain], &"abcdef"[6 - remain..]);
            assert_eq!(buffer.malloc_length(), 9);
            buffer.malloc_ack(kept).unwrap();
            buffer.write_string("!").unwrap();
            buffer.flush();
            assert_eq!(text(&buffer), format!("{}!", &whole[..kept]));
            assert_eq!(buffer.stats().bytes_copied, 0);
        }
    }
    let mut buffer = NocopyBuffer::new(&arena);
    buffer.malloc(6).unwrap();
    let out_of_range = Err(BufferError::OutOfRange);
    assert_eq!(buffer.write_direct(segment("x"), 7), out_of_range);
    assert_eq!(buffer.malloc_ack(7), out_of_range);
    assert_eq!(buffer.malloc_length(), 6);
}

#[test]
fn append_hands_nodes_over_and_leaves_what_is_unflushed() {
    let arena = arena();
    let mut source = written(&arena, b"consumed, flushed");
    source.skip(10).unwrap();
    source.write_string(", unflushed").unwrap();
    let mut target = written(&arena, b"first ");
    target.write_string("second ").unwrap();
    target.append(&mut source).unwrap();
    assert_eq!(
        (text(&target).as_str(), target.malloc_length()),
        ("first ", 14)
    );
    target.flush();
    assert_eq!(text(&target), "first second flushed");
    assert_eq!((source.len(), source.malloc_length()), (0, 11));
    source.flush();
    assert_eq!(text(&source), ", unflushed");
    assert_eq!(target.stats().bytes_copied + source.stats().bytes_copied, 0);
    assert_eq!(arena.stats().nodes, 2);
}

#[test]
fn a_slice_of_a_buffer_can_be_appended_to_it() {
    let mut buffer = written(&arena(), b"abc");
    let mut slice = buffer.slice(2).unwrap();
    buffer.append(&mut slice).unwrap();
    buffer.flush();
    assert_eq!(text(&buffer), "cab");
}

#[test]
fn writing_to_what_can_only_be_read_is_refused() {
    let mut buffer = written(&arena(), b"abc");
    let mut slice = buffer.slice(2).unwrap();
    let refused = BufferError::Unsupported;
    assert_eq!(slice.malloc(usize::MAX), Err(refused));
    assert_eq!(slice.malloc_ack(1), Err(refused));
    assert_eq!(slice.write_binary(b""), Err(refused));
    assert_eq!(slice.write_u8(1), Err(refused));
    let segment = Segment::own(vec![1]).unwrap();
    assert_eq!(slice.write_direct(segment, 1), Err(refused));
    assert_eq!(slice.append(&mut buffer), Err(refused));
    assert_eq!(slice.spare().map(|_| ()), Err(refused));
    assert_eq!(slice.commit(0), Err(refused));
    slice.flush();
    assert_eq!((text(&slice).as_str(), text(&buffer).as_str()), ("ab", "c"));
}

#[test]
fn a_write_that_finds_no_memory_changes_nothing() {
    let arena = Arena::new(2 * GRANULE_BYTES);
    arena.grant(Chunk::boxed(2 * GRANULE_BYTES)).unwrap();
    let mut buffer = NocopyBuffer::new(&arena);
    buffer.malloc(3).unwrap().copy_from_slice(b"abc");
    buffer.flush();
    buffer.malloc(2).unwrap().copy_from_slice(b"de");
    let no_memory = Err(BufferError::NoMemory);
    assert_eq!(buffer.write_binary(&[1; 2 * GRANULE_BYTES]), no_memory);
    assert_eq!(buffer.malloc(2 * GRANULE_BYTES).map(|_| ()), no_memory);
    let too_long = buffer.malloc(CHUNK_BYTES_MAX + 1).map(|_| ());
    assert_eq!(too_long, Err(BufferError::OutOfRange));
    assert_eq!((buffer.len(), buffer.malloc_length()), (3, 2));
    buffer.flush();
    assert_eq!(text(&buffer), "abcde");
    buffer.skip(5).unwrap();
    buffer.compact();
    assert_eq!(arena.bytes_free(), 2 * GRANULE_BYTES);
}

#[test]
fn h32_a_slice_stays_when_its_buffer_begins_its_node_again() {
    let arena = arena();
    let mut buffer = written(&arena, b"sliced");
    let slice = buffer.slice(6).unwrap();
    buffer.release();
    buffer.write_string("after!").unwrap();
    buffer.flush();
    assert_eq!(
        (text(&slice).as_str(), text(&buffer).as_str()),
        ("sliced", "after!")
    );
    drop(slice);
    for _ in 0..10_000 {
        buffer.skip(buffer.len()).unwrap();
        buffer.release();
        buffer.write_string("again!").unwrap();
        buffer.flush();
        assert_eq!(text(&buffer), "again!");
    }
    assert_eq!((arena.stats().nodes, buffer.stats().nodes_taken), (1, 1));
}

#[test]
fn h32_parent_and_slices_given_back_in_every_order_free_every_node_once() {
    let arena = arena();
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let parent = written(&arena, &[5; 2 * GRANULE_BYTES]);
        let first = parent.slice(100).unwrap();
        let second = parent.slice(GRANULE_BYTES).unwrap();
        let mut all = [Some(parent), Some(first), Some(second)];
        for index in order {
            let mut buffer = all[index].take().unwrap();
            buffer.skip(buffer.len()).unwrap();
            buffer.release();
            drop(buffer);
            for left in all.iter().flatten() {
                assert!(left.chunks().flatten().all(|&byte| byte == 5));
            }
        }
        assert_eq!(arena.stats().nodes, 0);
    }
}

#[test]
fn h36_close_gives_everything_back_and_leaves_a_new_buffer() {
    let arena = arena();
    let mut buffer = written(&arena, &[1; 10_000]);
    buffer.peek(5000, 0).unwrap();
    buffer.skip(10).unwrap();
    buffer.malloc(6000).unwrap();
    buffer.spare().unwrap();
    buffer.close();
    assert_eq!(arena.stats().nodes, 0);
    assert_eq!((buffer.len(), buffer.malloc_length()), (0, 0));
    assert_eq!(
        (buffer.stats().copies_held, buffer.stats().segments),
        (0, 0)
    );
    buffer.write_string("new").unwrap();
    buffer.flush();
    assert_eq!(text(&buffer), "new");
}

#[test]
fn nodes_grow_with_use_and_shrink_when_little_is_written() {
    let arena = arena();
    let mut buffer = NocopyBuffer::new(&arena);
    let mut capacities = Vec::new();
    for _ in 0..CHUNK_BYTES / WRITE_NODE_BYTES_MIN - 1 {
        let before = arena.stats().bytes_in_nodes;
        if buffer.write_binary(&[1; WRITE_NODE_BYTES_MIN]).is_err() {
            break;
        }
        capacities.push(arena.stats().bytes_in_nodes - before);
    }
    capacities.retain(|&bytes| bytes > 0);
    let kib = |kib: usize| kib << 10;
    assert_eq!(capacities[..7], [4, 4, 8, 16, 32, 64, 128].map(kib));
    assert!(capacities.iter().all(|&bytes| bytes <= NODE_BYTES_MAX));
    for _ in 0..10 {
        buffer.flush();
        buffer.skip(buffer.len()).unwrap();
        buffer.release();
        buffer.write_string("little").unwrap();
    }
    assert_eq!(arena.stats().bytes_in_nodes, WRITE_NODE_BYTES_MIN);
}

#[test]
fn h105_ten_thousand_buffers_with_one_unread_byte_hold_little() {
    let arena = Arena::new(64 * CHUNK_BYTES);
    for _ in 0..64 {
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
    }
    let mut buffers = Vec::new();
    for index in 0..10_000_u32 {
        let mut buffer = written(&arena, &index.to_be_bytes());
        buffer.skip(3).unwrap();
        buffer.compact();
        buffers.push(buffer);
    }
    assert!(arena.stats().bytes_in_nodes < 10 << 20);
    assert_eq!(arena.stats().nodes, 0);
    for (index, buffer) in (0..10_000_u32).zip(&mut buffers) {
        assert_eq!(buffer.read_u8(), Ok(index.to_be_bytes()[3]));
        buffer.write_string("goes on").unwrap();
        buffer.flush();
        assert_eq!(text(buffer), "goes on");
        buffer.close();
    }
}

#[test]
fn h105_compact_keeps_what_is_unflushed_where_it_is() {
    let arena = arena();
    let mut buffer = written(&arena, b"abcdef");
    buffer.skip(4).unwrap();
    buffer.malloc(3).unwrap().copy_from_slice(b"ghi");
    buffer.compact();
    assert_eq!((text(&buffer).as_str(), buffer.malloc_length()), ("ef", 3));
    assert_eq!((arena.stats().nodes, buffer.stats().bytes_copied), (0, 5));
    buffer.malloc_ack(2).unwrap();
    buffer.flush();
    assert_eq!(text(&buffer), "efgh");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn h34_a_buffer_may_be_longer_than_4_gib() {
    const FOUR_GIB: usize = 1 << 32;
    let arena = arena();
    let mut node = arena.allocate(NODE_BYTES_MAX).unwrap();
    node.spare()[5] = 55;
    let segment = node.commit(NODE_BYTES_MAX);
    let mut buffer = NocopyBuffer::new(&arena);
    while buffer.malloc_length() <= FOUR_GIB {
        buffer.write_direct(segment.clone(), 0).unwrap();
    }
    assert_eq!(buffer.malloc_length(), FOUR_GIB + NODE_BYTES_MAX);
    buffer.malloc_ack(FOUR_GIB + 10).unwrap();
    buffer.flush();
    assert_eq!(buffer.len(), FOUR_GIB + 10);
    assert_eq!(buffer.peek_u8(FOUR_GIB + 5), Ok(55));
    let slice = buffer.slice(FOUR_GIB + 5).unwrap();
    assert_eq!((slice.len(), buffer.read_u8()), (FOUR_GIB + 5, Ok(55)));
    slice.skip(FOUR_GIB).unwrap();
    assert_eq!((slice.len(), slice.stats().bytes_held), (5, FOUR_GIB));
    assert_eq!(Segment::own(Vec::new()).unwrap().len(), 0);
}

#[test]
fn io_slices_show_what_is_flushed_and_unread() {
    let mut buffer = written(&arena(), b"abc");
    buffer.receive(Segment::own(b"def".to_vec()).unwrap());
    buffer.write_string("unflushed").unwrap();
    buffer.skip(2).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(buffer.io_slices(&mut slices), (2, 4));
    assert_eq!((&*slices[0], &*slices[1]), (&b"c"[..], &b"def"[..]));
}
