use crate::limits::REST_BYTES_MAX;
use crate::segment::Segment;
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

/// A queue of bytes, as a chain of segments.
///
/// Bytes are not copied: they are pushed as [`Segment`]s at the back and skipped at the front.
/// The buffer owns its segments; a node is let go of with the last byte of it that is skipped.
///
/// Most queues hold one segment at a time, so the first is kept in place and only a second one
/// takes memory, which is given back when the buffer becomes empty:
///
/// ```text
/// LinkBuffer { front: Option<Segment>, rest ─▶ VecDeque [ second, third, … ], len }   32 bytes
/// ```
///
/// ```
/// # use linkbuf::{Arena, Chunk, LinkBuffer};
/// # let arena = Arena::new(8192);
/// # arena.grant(Chunk::boxed(8192))?;
/// # let mut node = arena.allocate(100).expect("a fresh chunk has room");
/// let mut buffer = LinkBuffer::new();
/// buffer.push(node.write(b"first "));
/// buffer.push(node.write(b"second"));
/// buffer.skip(2);
/// let mut copy = [0; 8];
/// assert_eq!(buffer.copy_to(&mut copy), 8);
/// assert_eq!(&copy, b"rst seco");
/// # Ok::<(), linkbuf::GrantError>(())
/// ```
#[derive(Default)]
pub struct LinkBuffer {
    /// Set unless the buffer is empty. No segment in the chain is empty.
    pub(crate) front: Option<Segment>,
    pub(crate) rest: Option<Rest>,
    pub(crate) len: usize,
}

/// Boxed, as a queue of one segment has none and idle connections are counted in bytes.
pub(crate) type Rest = Box<VecDeque<Segment>>;

impl LinkBuffer {
    /// Makes an empty buffer. It takes no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            front: None,
            rest: None,
            len: 0,
        }
    }

    /// Puts a segment at the end; it joins the last one if it follows it in the same node.
    ///
    /// # Panics
    /// If the length of the buffer would exceed `usize`.
    pub fn push(&mut self, segment: Segment) {
        if segment.is_empty() {
            return;
        }
        let len = self.len.checked_add(segment.len());
        self.len = len.expect("the length of a buffer fits usize");
        let segment = match self.back_mut() {
            None => {
                self.front = Some(segment);
                return;
            }
            Some(back) => match back.try_join(segment) {
                Ok(()) => return,
                Err(segment) => segment,
            },
        };
        self.rest.get_or_insert_default().push_back(segment);
    }

    /// Takes the first segment out.
    pub fn pop_front(&mut self) -> Option<Segment> {
        let segment = self.front.take()?;
        self.len -= segment.len();
        self.advance_front();
        Some(segment)
    }

    /// Lets go of the first `bytes` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn skip(&mut self, bytes: usize) {
        assert!(bytes <= self.len, "skip beyond the end of the buffer");
        self.len -= bytes;
        let mut left = bytes;
        while let Some(front) = &mut self.front {
            if left < front.len() {
                front.advance(left);
                return;
            }
            left -= front.len();
            self.advance_front();
        }
    }

    /// Moves everything out of `other` to the end of this buffer.
    ///
    /// # Panics
    /// If the length of the buffer would exceed `usize`.
    pub fn append(&mut self, other: &mut LinkBuffer) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        while let Some(segment) = other.pop_front() {
            self.push(segment);
        }
    }

    /// Copies a short rest, of [`REST_BYTES_MAX`] bytes at most, into memory of its own, and lets
    /// go of the nodes that it was in. Answers how many bytes were copied.
    ///
    /// For a buffer that will not move on soon: one byte would hold a node, and its chunk. What is
    /// longer stays where it is, as it holds nodes that it makes use of. A second call finds
    /// nothing to do.
    ///
    /// ```
    /// # use linkbuf::{Arena, CHUNK_BYTES, Chunk, LinkBuffer};
    /// # let arena = Arena::new(CHUNK_BYTES);
    /// # arena.grant(Chunk::boxed(CHUNK_BYTES))?;
    /// let mut buffer = LinkBuffer::new();
    /// let mut node = arena.allocate(65_536).expect("a fresh chunk has room");
    /// buffer.push(node.write(b"the rest"));
    /// drop(node);
    /// assert_eq!(buffer.compact(), 8);
    /// assert_eq!(arena.bytes_free(), CHUNK_BYTES);
    /// # Ok::<(), linkbuf::GrantError>(())
    /// ```
    pub fn compact(&mut self) -> usize {
        let Some(front) = &self.front else {
            return 0;
        };
        let is_compact =
            front.is_own() && front.len() == self.len && front.node_len() <= REST_BYTES_MAX;
        if is_compact || self.len > REST_BYTES_MAX {
            return 0;
        }
        let mut rest = vec![0; self.len];
        let copied = self.copy_to(&mut rest);
        // Never too long, as a rest is short; if it were, it would stay where it is.
        let Ok(segment) = Segment::own(rest) else {
            return 0;
        };
        self.clear();
        self.push(segment);
        copied
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// How many bytes there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    /// How many segments the bytes are in.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        usize::from(self.front.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// The first segment, which stays in the buffer.
    #[inline]
    #[must_use]
    pub fn front(&self) -> Option<&Segment> {
        self.front.as_ref()
    }

    /// Points `slices` at the first bytes, a slice a segment. Answers how many slices are set
    /// and how many bytes they have.
    ///
    /// The sum fits any `usize`, not what a system call takes at once: the number of slices and
    /// the sum are the caller's to limit, by the length of `slices` and by what it passes on.
    ///
    /// ```
    /// # use linkbuf::{Arena, Chunk, LinkBuffer};
    /// # use std::io::{IoSlice, Write};
    /// # let arena = Arena::new(8192);
    /// # arena.grant(Chunk::boxed(8192))?;
    /// # let mut node = arena.allocate(100).expect("a fresh chunk has room");
    /// # let mut socket = Vec::new();
    /// let mut buffer = LinkBuffer::new();
    /// buffer.push(node.write(b"bytes"));
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// let (count, _) = buffer.io_slices(&mut slices);
    /// let written = socket.write_vectored(&slices[..count])?;
    /// buffer.skip(written);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        let mut bytes = 0;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            *slice = IoSlice::new(chunk);
            bytes += chunk.len();
            count += 1;
        }
        (count, bytes)
    }

    /// The bytes, a slice a segment.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.segments().map(Segment::as_slice)
    }

    /// Copies the first bytes out, as many as there are and `target` holds. Answers how many.
    pub fn copy_to(&self, target: &mut [u8]) -> usize {
        let mut copied = 0;
        for chunk in self.chunks() {
            let rest = &mut target[copied..];
            let len = chunk.len().min(rest.len());
            rest[..len].copy_from_slice(&chunk[..len]);
            copied += len;
            if copied == target.len() {
                break;
            }
        }
        copied
    }

    /// The last segment has become longer by so many bytes.
    #[inline]
    pub(crate) fn lengthen(&mut self, bytes: usize) {
        let len = self.len.checked_add(bytes);
        self.len = len.expect("the length of a buffer fits usize");
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        let rest = self.rest.iter().flat_map(|rest| rest.iter());
        self.front.iter().chain(rest)
    }

    #[inline]
    pub(crate) fn back_mut(&mut self) -> Option<&mut Segment> {
        let rest = self.rest.as_mut();
        let back = rest.and_then(|rest| rest.back_mut());
        back.or(self.front.as_mut())
    }

    /// Drops the first segment; the next one takes its place, or the memory goes.
    fn advance_front(&mut self) {
        self.front = self.rest.as_mut().and_then(|rest| rest.pop_front());
        if self.front.is_none() {
            self.rest = None;
        }
    }
}

impl fmt::Debug for LinkBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkBuffer")
            .field("len", &self.len)
            .field("segment_count", &self.segment_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::{Arena, CHUNK_BYTES, Chunk, NODE_BYTES_MAX};

    fn arena() -> Arena {
        let arena = Arena::new(CHUNK_BYTES);
        arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        arena
    }

    /// Segments that do not follow each other, as each is of its own node.
    fn segments(arena: &Arena, texts: &[&str]) -> Vec<Segment> {
        let write = |text: &&str| arena.allocate(text.len()).unwrap().write(text.as_bytes());
        texts.iter().map(write).collect()
    }

    fn buffer(arena: &Arena, texts: &[&str]) -> LinkBuffer {
        let mut buffer = LinkBuffer::new();
        for segment in segments(arena, texts) {
            buffer.push(segment);
        }
        buffer
    }

    fn text(buffer: &LinkBuffer) -> String {
        let bytes: Vec<&[u8]> = buffer.chunks().collect();
        assert_eq!(
            bytes.iter().map(|bytes| bytes.len()).sum::<usize>(),
            buffer.len()
        );
        assert_eq!(bytes.len(), buffer.segment_count());
        String::from_utf8(bytes.concat()).unwrap()
    }

    #[test]
    fn buffers_and_segments_are_small() {
        assert!(size_of::<LinkBuffer>() <= 40);
        assert_eq!(size_of::<Segment>(), 16);
        assert_eq!(size_of::<Option<Segment>>(), 16);
    }

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let arena = arena();
        let mut buffer = buffer(&arena, &["one ", "two ", "three "]);
        buffer.push(segments(&arena, &["four"]).remove(0));
        assert_eq!(text(&buffer), "one two three four");
        assert_eq!(buffer.segment_count(), 4);
    }

    #[test]
    fn segments_that_follow_each_other_join() {
        let arena = arena();
        let mut node = arena.allocate(100).unwrap();
        let (one, two, three) = (node.write(b"one"), node.write(b"two"), node.write(b"three"));
        let mut buffer = LinkBuffer::new();
        buffer.push(one.clone());
        buffer.push(two);
        assert_eq!(buffer.segment_count(), 1);
        buffer.push(one.clone());
        buffer.push(three);
        assert_eq!(buffer.segment_count(), 3);
        assert_eq!(text(&buffer), "onetwoonethree");
    }

    #[test]
    fn an_empty_segment_is_not_kept() {
        let arena = arena();
        let mut buffer = buffer(&arena, &["", "bytes", ""]);
        assert_eq!((buffer.segment_count(), arena.stats().nodes), (1, 1));
        buffer.skip(5);
        assert!(buffer.is_empty());
    }

    #[test]
    fn skip_lets_go_of_each_node_with_its_last_byte() {
        let arena = arena();
        let mut buffer = buffer(&arena, &["12345", "678", "90"]);
        for (skipped, left, nodes) in [
            (0, "1234567890", 3),
            (4, "567890", 3),
            (1, "67890", 2),
            (4, "0", 1),
            (1, "", 0),
        ] {
            buffer.skip(skipped);
            assert_eq!((text(&buffer).as_str(), arena.stats().nodes), (left, nodes));
        }
    }

    #[test]
    #[should_panic(expected = "skip beyond the end of the buffer")]
    fn a_skip_beyond_the_end_panics() {
        buffer(&arena(), &["12345"]).skip(6);
    }

    #[test]
    fn h35_an_emptied_buffer_holds_no_memory() {
        let arena = arena();
        let mut buffer = buffer(&arena, &["x"; 100]);
        assert!(buffer.rest.is_some());
        buffer.skip(100);
        assert!(buffer.rest.is_none());
        buffer = super::tests::buffer(&arena, &["x"; 100]);
        while buffer.pop_front().is_some() {}
        assert!(buffer.rest.is_none());
        assert_eq!((buffer.len(), arena.stats().nodes), (0, 0));
        buffer.push(segments(&arena, &["x"]).remove(0));
        assert!(buffer.rest.is_none());
    }

    #[test]
    fn append_moves_everything_and_joins_at_the_seam() {
        let arena = arena();
        let mut node = arena.allocate(100).unwrap();
        let mut first = buffer(&arena, &["zero "]);
        first.push(node.write(b"one "));
        let mut second = LinkBuffer::new();
        second.push(node.write(b"two "));
        second.push(segments(&arena, &["three"]).remove(0));
        first.append(&mut second);
        assert_eq!(
            (text(&first).as_str(), first.segment_count()),
            ("zero one two three", 3)
        );
        assert!(second.is_empty());
        second.append(&mut first);
        assert_eq!(
            (text(&second).as_str(), first.len()),
            ("zero one two three", 0)
        );
    }

    #[test]
    fn clear_lets_go_of_everything() {
        let arena = arena();
        let mut buffer = buffer(&arena, &["one", "two"]);
        buffer.clear();
        assert_eq!((buffer.len(), buffer.segment_count()), (0, 0));
        assert_eq!(arena.stats().nodes, 0);
    }

    #[test]
    fn h105_a_short_rest_is_copied_out_once_and_a_long_one_is_not() {
        let arena = arena();
        for (len, copied) in [
            (0, 0),
            (1, 1),
            (REST_BYTES_MAX, REST_BYTES_MAX),
            (REST_BYTES_MAX + 1, 0),
        ] {
            let mut buffer = LinkBuffer::new();
            let mut node = arena.allocate(len).unwrap();
            node.spare()[..len].fill(7);
            buffer.push(node.commit(len));
            assert_eq!((buffer.compact(), buffer.compact()), (copied, 0));
            let is_own = buffer.front().is_some_and(Segment::is_own);
            assert_eq!(is_own, copied > 0);
            assert_eq!(buffer.chunks().collect::<Vec<_>>().concat(), vec![7; len]);
        }
        let mut buffer = buffer(&arena, &["12345", "678", "90"]);
        buffer.skip(4);
        assert_eq!((buffer.compact(), text(&buffer).as_str()), (6, "567890"));
        assert_eq!((buffer.segment_count(), arena.stats().nodes), (1, 0));
    }

    #[test]
    fn h105_a_rest_of_long_memory_of_ones_own_is_copied_out_too() {
        let mut buffer = LinkBuffer::new();
        buffer.push(Segment::own(vec![7; REST_BYTES_MAX + 1]).unwrap());
        assert_eq!(buffer.compact(), 0);
        buffer.skip(REST_BYTES_MAX);
        assert_eq!((buffer.compact(), buffer.compact()), (1, 0));
    }

    #[test]
    fn copy_to_stops_at_the_shorter_end() {
        let arena = arena();
        let buffer = buffer(&arena, &["12345", "678", "90"]);
        for len in 0..15 {
            let mut target = vec![b'-'; len];
            let copied = buffer.copy_to(&mut target);
            assert_eq!(copied, len.min(10));
            let expected: String = "1234567890-----".chars().take(len).collect();
            assert_eq!(String::from_utf8(target).unwrap(), expected);
        }
    }

    #[test]
    fn io_slices_stop_at_the_shorter_end() {
        let arena = arena();
        let buffer = buffer(&arena, &["12345", "678", "90"]);
        for (room, expected) in [(0, (0, 0)), (2, (2, 8)), (3, (3, 10)), (9, (3, 10))] {
            let mut slices = vec![IoSlice::new(b"-"); room];
            assert_eq!(buffer.io_slices(&mut slices), expected);
            let set: usize = slices[..expected.0].iter().map(|slice| slice.len()).sum();
            assert_eq!(set, expected.1);
            assert!(slices[expected.0..].iter().all(|slice| **slice == *b"-"));
        }
    }

    #[test]
    fn h39_a_partial_write_of_any_length_continues_where_it_ended() {
        let arena = arena();
        let whole = "12345678901234567890";
        for first in 0..=whole.len() {
            for second in 0..=whole.len() - first {
                let mut buffer = buffer(&arena, &["12345", "678", "90", "1234567890"]);
                buffer.skip(first);
                buffer.skip(second);
                assert_eq!(text(&buffer), whole[first + second..]);
            }
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn h34_a_buffer_may_be_longer_than_4_gib() {
        const FOUR_GIB: usize = 1 << 32;
        let arena = arena();
        let mut node = arena.allocate(NODE_BYTES_MAX).unwrap();
        node.spare()[7] = 77;
        let segment = node.commit(NODE_BYTES_MAX);
        let mut buffer = LinkBuffer::new();
        while buffer.len() <= FOUR_GIB {
            buffer.push(segment.clone());
        }
        let count = FOUR_GIB / NODE_BYTES_MAX + 1;
        assert_eq!(buffer.segment_count(), count);
        assert_eq!(buffer.len(), FOUR_GIB + NODE_BYTES_MAX);
        let mut slices = vec![IoSlice::new(&[]); count];
        assert_eq!(
            buffer.io_slices(&mut slices),
            (count, FOUR_GIB + NODE_BYTES_MAX)
        );
        buffer.skip(FOUR_GIB + 7);
        assert_eq!(buffer.len(), NODE_BYTES_MAX - 7);
        assert_eq!(buffer.front().unwrap().as_slice()[0], 77);
        buffer.skip(NODE_BYTES_MAX - 7);
        drop((buffer, segment, node));
        assert_eq!(arena.stats().nodes, 0);
    }
}
