//! Changes of a [`LinkBuffer`] at any place, which only a buffer with cursors needs.

use crate::link_buffer::LinkBuffer;
use crate::segment::Segment;

impl LinkBuffer {
    /// The segment with that index.
    #[inline]
    pub(crate) fn segment(&self, index: usize) -> Option<&Segment> {
        match index {
            0 => self.front.as_ref(),
            index => self.rest.as_ref()?.get(index - 1),
        }
    }

    /// Lets go of all but the first `bytes` bytes; nothing happens if there are no more.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        while self.len > bytes {
            let excess = self.len - bytes;
            let back = self
                .back_mut()
                .expect("a buffer with a length has a segment");
            let len = back.len();
            if excess < len {
                back.truncate(len - excess);
                self.len = bytes;
                return;
            }
            self.pop_back();
        }
    }

    /// Puts a segment where the byte number `at` is, or at the end. No byte moves: a segment
    /// that holds bytes of both sides becomes two.
    ///
    /// # Panics
    /// If the buffer is shorter than `at`, or would be longer than `usize` can tell.
    pub(crate) fn insert(&mut self, at: usize, segment: Segment) {
        assert!(at <= self.len, "insert beyond the end of the buffer");
        if segment.is_empty() || at == self.len {
            return self.push(segment);
        }
        let len = self.len.checked_add(segment.len());
        assert!(len.is_some(), "the length of a buffer fits usize");
        let mut tail = self.split_off(at);
        self.push(segment);
        self.append(&mut tail);
    }

    /// Takes all from the byte number `at` on out. The costs depend on what is taken out.
    pub(crate) fn split_off(&mut self, at: usize) -> LinkBuffer {
        let mut tail = LinkBuffer::new();
        if at == 0 {
            std::mem::swap(self, &mut tail);
        }
        while self.len > at {
            let excess = self.len - at;
            let back = self
                .back_mut()
                .expect("a buffer with a length has a segment");
            let len = back.len();
            if excess < len {
                // The clone first: it may panic, and then nothing must have changed.
                let mut right = back.clone();
                back.truncate(len - excess);
                right.advance(len - excess);
                self.len = at;
                tail.push_front(right);
                break;
            }
            if let Some(back) = self.pop_back() {
                tail.push_front(back);
            }
        }
        tail
    }

    fn pop_back(&mut self) -> Option<Segment> {
        let rest = self.rest.as_mut();
        let back = rest.and_then(|rest| rest.pop_back());
        let back = back.or_else(|| {
            self.rest = None;
            self.front.take()
        })?;
        self.len -= back.len();
        Some(back)
    }

    /// Puts a segment, which is not empty, before the first.
    fn push_front(&mut self, segment: Segment) {
        self.len += segment.len();
        if let Some(second) = self.front.replace(segment) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn segment(text: &str) -> Segment {
        Segment::own(text.as_bytes().to_vec()).unwrap()
    }

    fn buffer() -> LinkBuffer {
        let mut buffer = LinkBuffer::new();
        for text in ["abc", "d", "efgh"] {
            buffer.push(segment(text));
        }
        buffer
    }

    fn text(buffer: &LinkBuffer) -> String {
        let chunks: Vec<&[u8]> = buffer.chunks().collect();
        let segments = (0..).map_while(|index| buffer.segment(index));
        assert_eq!(segments.map(Segment::len).sum::<usize>(), buffer.len());
        assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
        assert_eq!(chunks.len(), buffer.segment_count());
        assert_eq!(buffer.is_empty(), chunks.is_empty());
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[test]
    fn truncate_keeps_the_beginning() {
        for len in 0..=9 {
            let mut buffer = buffer();
            buffer.truncate(len);
            assert_eq!(text(&buffer), "abcdefgh"[..len.min(8)]);
            assert_eq!(buffer.rest.is_none(), len == 0);
        }
    }

    #[test]
    fn split_off_takes_the_end() {
        for at in 0..=8 {
            let mut left = buffer();
            let right = left.split_off(at);
            assert_eq!(text(&left), "abcdefgh"[..at]);
            assert_eq!(text(&right), "abcdefgh"[at..]);
        }
    }

    #[test]
    fn insert_puts_a_segment_at_any_place() {
        for at in 0..=8 {
            let mut buffer = buffer();
            buffer.insert(at, segment("-+"));
            let expected = format!("{}-+{}", &"abcdefgh"[..at], &"abcdefgh"[at..]);
            assert_eq!(text(&buffer), expected);
            buffer.insert(at, segment(""));
            assert_eq!(text(&buffer), expected);
        }
    }
}
