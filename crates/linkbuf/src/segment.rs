use crate::buffer_error::BufferError;
use crate::limits::CHUNK_BYTES_MAX;
use crate::node_ref::NodeRef;
use std::fmt;

/// A range of a node: read-only, and a reference to it.
///
/// The bytes stay as they are for as long as the segment lives. A clone costs one atomic
/// addition and copies nothing.
///
/// ```
/// # use linkbuf::{Arena, Chunk};
/// # let arena = Arena::new(8192);
/// # arena.grant(Chunk::boxed(8192))?;
/// # let mut node = arena.allocate(100).expect("a fresh chunk has room");
/// let mut segment = node.write(b"key: value");
/// let mut key = segment.clone();
/// key.truncate(3);
/// segment.advance(5);
/// assert_eq!((key.as_slice(), segment.as_slice()), (&b"key"[..], &b"value"[..]));
/// # Ok::<(), linkbuf::GrantError>(())
/// ```
#[derive(Clone)]
pub struct Segment {
    node: NodeRef,
    /// Counted from the start of the chunk. Offset and length stay within what was committed.
    offset: u32,
    len: u32,
}

/// The name of a range, as plain numbers that can cross to another language.
///
/// A name keeps nothing alive; the lease that it was made with does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentId {
    /// Chunk index × 256 + the first granule of the node in that chunk.
    pub node: u32,
    /// Where the range starts, counted from the start of the chunk.
    pub offset: u32,
    /// How many bytes it has.
    pub len: u32,
}

impl Segment {
    /// Takes a range that lies in what is written of the node.
    pub(crate) fn new(node: NodeRef, offset: u32, len: u32) -> Self {
        Self { node, offset, len }
    }

    /// Makes a segment of bytes of one's own, which are not copied and in no arena.
    ///
    /// It cannot be leased: no number names it.
    ///
    /// # Errors
    /// [`OutOfRange`](BufferError::OutOfRange) if there are more than [`CHUNK_BYTES_MAX`].
    ///
    /// ```
    /// use linkbuf::Segment;
    ///
    /// let segment = Segment::own(b"bytes".to_vec())?;
    /// assert_eq!(segment.clone().as_slice(), b"bytes");
    /// # Ok::<(), linkbuf::BufferError>(())
    /// ```
    pub fn own(bytes: impl Into<Box<[u8]>>) -> Result<Self, BufferError> {
        let bytes = bytes.into();
        match u32::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= CHUNK_BYTES_MAX => {
                Ok(Self::new(NodeRef::own(bytes, len), 0, len))
            }
            _ => Err(BufferError::OutOfRange),
        }
    }

    /// Lets go of the first `bytes` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        assert!(bytes <= self.len(), "advance beyond the end of the segment");
        let bytes = u32::try_from(bytes).expect("not longer than the segment");
        self.offset += bytes;
        self.len -= bytes;
    }

    /// Lets go of all but the first `bytes` bytes; nothing happens if there are no more.
    #[inline]
    pub fn truncate(&mut self, bytes: usize) {
        if let Ok(bytes) = u32::try_from(bytes) {
            self.len = self.len.min(bytes);
        }
    }

    /// Becomes one segment with the one that follows it in the same node.
    ///
    /// # Errors
    /// Gives `next` back if it does not start where this one ends, or is of another node.
    #[inline]
    pub fn try_join(&mut self, next: Segment) -> Result<(), Segment> {
        if !self.is_followed_by(&next.node, next.offset) {
            return Err(next);
        }
        self.len += next.len;
        Ok(())
    }

    /// Whether the node's bytes from `offset` on follow this segment.
    #[inline]
    pub(crate) fn is_followed_by(&self, node: &NodeRef, offset: u32) -> bool {
        self.offset + self.len == offset && self.node.is_same_node(node)
    }

    /// Adds the `len` bytes that follow, which must have been committed.
    #[inline]
    pub(crate) fn extend(&mut self, len: u32) {
        self.len += len;
        debug_assert!(self.node.contains(self.id()), "only what is written");
    }

    /// Whether the bytes are in no arena.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.node.origin().is_none()
    }

    /// How many bytes of the node are written, by whomever.
    pub(crate) fn node_len(&self) -> usize {
        self.node.written_len()
    }

    /// How many bytes the segment has.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, valid for as long as the segment is neither changed nor dropped.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: a segment is made of a range that was committed, or that was compared with
        // `written` while the node was referred to. `advance` and `truncate` only make
        // it smaller, `try_join` and `extend` add a range for which the same holds, and `written`
        // does not shrink while the segment refers to the node.
        unsafe { self.node.bytes(self.offset, self.len) }
    }

    /// Counts a lease for the other side and names it. The segment stays.
    ///
    /// The lease ends by [`Arena::release`](crate::Arena::release) or
    /// [`Arena::take_leased`](crate::Arena::take_leased), or when the last clone of the arena is
    /// dropped. One that is made after that never ends, and keeps its memory.
    ///
    /// # Panics
    /// If the node has 2³¹ references, or is in no arena.
    #[must_use = "a lease that nobody knows of never ends"]
    pub fn lease(&self) -> SegmentId {
        assert!(!self.is_own(), "only memory of an arena can be leased");
        self.node.count().add_lease();
        self.id()
    }

    /// Turns the segment into a lease for the other side and names it.
    ///
    /// The lease ends as one of [`lease`](Self::lease) does.
    ///
    /// # Panics
    /// If the node is in no arena.
    #[must_use = "a lease that nobody knows of never ends"]
    pub fn into_lease(self) -> SegmentId {
        assert!(!self.is_own(), "only memory of an arena can be leased");
        let id = self.id();
        self.node.into_lease();
        id
    }

    /// The segment's name. It counts nothing, and names nothing if the bytes are in no arena.
    #[inline]
    #[must_use]
    pub fn id(&self) -> SegmentId {
        SegmentId {
            node: self.node.id(),
            offset: self.offset,
            len: self.len,
        }
    }
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Segment").field(&self.id()).finish()
    }
}
