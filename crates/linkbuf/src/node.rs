use crate::node_ref::NodeRef;
use crate::segment::{Segment, SegmentId};
use std::fmt;

/// The only writer of a fresh range of memory.
///
/// A node is filled front to back. What is committed becomes a [`Segment`] and is never written
/// again as long as a segment or a lease refers to the node; what is not yet committed is seen by
/// nobody else. A node holds a reference to its own range for as long as it exists, so its range
/// cannot be given to anybody else meanwhile: to append to a node that has been recycled is
/// impossible, as it would take a `Node`, and that keeps the node from being recycled. Dropping it
/// ends writing; the range lives on for as long as segments and leases refer to it.
///
/// ```
/// # use linkbuf::{Arena, Chunk};
/// # let arena = Arena::new(8192);
/// # arena.grant(Chunk::boxed(8192))?;
/// let mut node = arena.allocate(100).expect("a fresh chunk has room");
/// assert_eq!(node.capacity(), 4096);
/// node.spare()[..5].copy_from_slice(b"bytes");
/// let segment = node.commit(5);
/// assert_eq!(segment.as_slice(), b"bytes");
/// assert_eq!(node.room(), 4091);
/// # Ok::<(), linkbuf::GrantError>(())
/// ```
pub struct Node {
    reference: NodeRef,
    /// Where the next byte goes, counted from the start of the chunk.
    written: u32,
    /// Where the node ends, counted likewise.
    end: u32,
}

impl Node {
    /// Takes a node that has just begun its life, with the reference it began with.
    pub(crate) fn new(reference: NodeRef, bytes: u32) -> Self {
        let start = reference.start();
        Self {
            reference,
            written: start,
            end: start + bytes,
        }
    }

    /// Takes a range of a node that the other side was given to write, with a reference that is
    /// the only one. What lies before the range counts as written, what lies behind it is lost.
    pub(crate) fn taken_over(reference: NodeRef, range: SegmentId) -> Self {
        reference.take_over(range.offset);
        Self {
            reference,
            written: range.offset,
            end: range.offset + range.len,
        }
    }

    /// The bytes that are not committed yet. What they hold is not specified.
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        let (offset, len) = (self.written, self.end - self.written);
        // SAFETY: `self.written` is what the header says, as each method that changes one changes
        // both, so the range lies between the node's `written` and its end. A `Node` is made once
        // a life, or while nobody else refers to the node, and cannot be cloned, so it is the
        // only writer.
        unsafe { self.reference.bytes_mut(offset, len) }
    }

    /// Ends writing to the next `bytes` bytes and gives them out.
    ///
    /// # Panics
    /// If there is less [`room`](Self::room).
    #[inline]
    pub fn commit(&mut self, bytes: usize) -> Segment {
        assert!(bytes <= self.room(), "commit beyond the end of the node");
        let offset = self.written;
        let len = u32::try_from(bytes).expect("not longer than the node");
        // The reference first: it may panic, and then nothing must have changed.
        let reference = self.reference.clone();
        self.written = offset + len;
        self.reference.set_written(self.written);
        Segment::new(reference, offset, len)
    }

    /// Copies bytes in and gives them out.
    ///
    /// # Panics
    /// If there is less [`room`](Self::room).
    pub fn write(&mut self, bytes: &[u8]) -> Segment {
        let room = self.room();
        assert!(bytes.len() <= room, "write beyond the end of the node");
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.commit(bytes.len())
    }

    /// As [`commit`](Self::commit), but makes `segment` longer, if it is the last one that was
    /// committed. Whether so; if not, nothing has changed.
    #[inline]
    pub(crate) fn commit_onto(&mut self, segment: &mut Segment, bytes: usize) -> bool {
        assert!(bytes <= self.room(), "commit beyond the end of the node");
        let len = u32::try_from(bytes).expect("not longer than the node");
        let follows = segment.is_followed_by(&self.reference, self.written);
        if follows {
            self.written += len;
            self.reference.set_written(self.written);
            segment.extend(len);
        }
        follows
    }

    /// Begins again at the start if nothing else refers to the node. Whether so.
    pub(crate) fn try_rewind(&mut self) -> bool {
        let rewound = self.reference.try_rewind();
        if rewound {
            self.written = self.reference.start();
        }
        rewound
    }

    /// How many bytes can still be committed.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        (self.end - self.written) as usize
    }

    /// How many bytes the node holds in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        (self.end - self.reference.start()) as usize
    }

    /// The node's number. It is in use for as long as anything refers to the node, then free.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.reference.id()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("capacity", &self.capacity())
            .field("room", &self.room())
            .finish()
    }
}
