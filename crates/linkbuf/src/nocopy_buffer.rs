use crate::arena::Arena;
use crate::copies::Copies;
use crate::link_buffer::LinkBuffer;
use crate::segment::Segment;
use crate::write_nodes::WriteNodes;
use std::cell::Cell;
use std::fmt;
use std::io::IoSlice;

/// A buffer with a reading and a writing end, between which no byte is copied.
///
/// What [`malloc`](Self::malloc) reserves is filled in place, [`flush`](Self::flush) makes it
/// readable, [`next`](Self::next) shows it where it is. It is the synchronous buffer of the
/// package's contract: the same calls in the same order.
///
/// ```text
///              held             readable           unflushed
///  chain  ┌──────────────┬────────────────────┬───────────────────┐
///         │ seg │ segment │ segment │ segment │ seg │ spliced │   │ open (not yet in the chain)
///         └──────────────┴────────────────────┴───────────────────┘
///         ▲              ▲                    ▲                   ▲
///         head     ≤     read         ≤      flush        ≤      write
///    release() ─▶        next, skip ─▶        flush() ─▶          malloc, write_… ─▶
/// ```
///
/// **The invariant.** head ≤ read ≤ flush ≤ write. Only `release` moves head, to read. Only
/// reading moves read, never beyond flush. `flush` moves flush to write. Bytes between head and
/// flush are never written, moved or let go of, so a view of them stays what it was until
/// `release`. A call that cannot be met answers an error and moves none of the four.
///
/// **Views are borrows.** Reading calls borrow the buffer shared, also those that consume: they
/// only move the read cursor. Calls that move anything else borrow it exclusively. So any number
/// of views may be held at once, across further reads, and the compiler proves what the contract
/// asks of the user: that none is used after [`release`](Self::release).
///
/// ```compile_fail,E0502
/// # fn read(buffer: &mut linkbuf::NocopyBuffer) -> Result<(), linkbuf::BufferError> {
/// let head = buffer.next(4)?;
/// buffer.release();
/// assert_eq!(head, b"head");
/// # Ok(())
/// # }
/// ```
///
/// The alternative, a view that counts a reference to its node, costs two atomic steps a read,
/// more than the read itself, and cannot show when a node is held for too long. Where a view must
/// outlive the buffer's borrow there is [`slice`](Self::slice), which is just that.
///
/// A view that crosses nodes is a copy, made once: it is kept until `release`, and shown again to
/// who asks for the same bytes.
///
/// **Who may write.** A buffer made with an [`Arena`] takes its nodes from there. One without, as
/// a slice or the input of a connection, can only be read: writing answers
/// [`Unsupported`](crate::BufferError::Unsupported).
///
/// ```
/// use linkbuf::{Arena, CHUNK_BYTES, Chunk, NocopyBuffer, Segment};
///
/// let arena = Arena::new(CHUNK_BYTES);
/// arena.grant(Chunk::boxed(CHUNK_BYTES)).expect("the first chunk fits");
/// let mut buffer = NocopyBuffer::new(&arena);
///
/// // A frame: its length goes in front once it is known.
/// buffer.malloc(5)?.copy_from_slice(b"hello");
/// buffer.write_string(", world")?;
/// let body = buffer.malloc_length();
/// let header = Segment::own(vec![u8::try_from(body).expect("short")])?;
/// buffer.write_direct(header, body)?;
/// buffer.flush();
///
/// let len = buffer.read_u8()?;
/// let (greeting, name) = (buffer.next(5)?, buffer.peek(5, 2)?);
/// assert_eq!((len, greeting, name), (12, &b"hello"[..], &b"world"[..]));
/// buffer.skip(7)?;
/// buffer.release();
/// # Ok::<(), linkbuf::BufferError>(())
/// ```
#[derive(Default)]
pub struct NocopyBuffer {
    /// All bytes from head on, but those that are still open in `nodes`.
    pub(crate) chain: LinkBuffer,
    /// Where flush is, counted from head.
    pub(crate) flushed: usize,
    /// Where read is.
    pub(crate) cursor: Cell<Cursor>,
    pub(crate) copies: Copies,
    pub(crate) bytes_copied: Cell<u64>,
    /// Present if the buffer can be written. Boxed, as slices are many and have none.
    pub(crate) nodes: Option<Box<WriteNodes>>,
}

/// A place in a chain of segments.
///
/// The offset may be the length of the segment: a cursor that has read a segment to its end waits
/// there, as the segment may still grow, and another may be put behind it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cursor {
    /// Counted from head.
    pub(crate) position: usize,
    /// The segment.
    pub(crate) index: usize,
    /// Where in the segment.
    pub(crate) offset: usize,
}

/// What a buffer has done, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct BufferStats {
    /// Bytes copied because they lay across nodes, or to free a node of a short rest. What the
    /// caller asked to be copied is not counted.
    pub bytes_copied: u64,
    /// Copies that are held until the next release.
    pub copies_held: usize,
    /// Nodes taken from the arena to write into.
    pub nodes_taken: u64,
    /// Segments in the chain, read or not.
    pub segments: usize,
    /// Consumed bytes whose nodes are held until the next release.
    pub bytes_held: usize,
}

impl NocopyBuffer {
    /// Makes an empty buffer that takes its nodes from `arena`. It has none before the first byte
    /// is written.
    #[must_use]
    pub fn new(arena: &Arena) -> Self {
        Self {
            nodes: Some(Box::new(WriteNodes::new(arena.clone()))),
            ..Self::default()
        }
    }

    /// Makes an empty buffer that can only be read. Bytes come by [`receive`](Self::receive).
    #[must_use]
    pub fn read_only() -> Self {
        Self::default()
    }

    /// Puts a segment behind the flushed bytes. It can be read at once, and comes before what is
    /// not flushed yet.
    ///
    /// For who fills the buffer from a socket, also a read-only one.
    ///
    /// # Panics
    /// If the length of the buffer would exceed `usize`.
    pub fn receive(&mut self, segment: Segment) {
        let len = segment.len();
        self.chain.insert(self.flushed, segment);
        self.flushed += len;
        self.check();
    }

    /// Gives the nodes back whose bytes are all consumed. Views that were made before are over.
    pub fn release(&mut self) {
        let consumed = self.cursor.take().position;
        self.chain.skip(consumed);
        self.flushed -= consumed;
        self.copies.clear();
        if let Some(nodes) = &mut self.nodes
            && self.chain.is_empty()
            && nodes.open() == 0
        {
            nodes.rewind();
        }
        self.check();
    }

    /// Gives everything back, read or not, flushed or not, and leaves the buffer empty and usable.
    pub fn close(&mut self) {
        self.chain.clear();
        self.flushed = 0;
        self.cursor.take();
        self.copies.clear();
        if let Some(nodes) = &mut self.nodes {
            nodes.clear();
        }
        self.check();
    }

    /// Releases, and if what is left is short, as [`LinkBuffer::compact`] says, copies it into
    /// memory of its own. The nodes that the buffer writes into are given back too.
    ///
    /// For a buffer that will be idle: it holds nothing of the arena afterwards, or the nodes of
    /// a rest that is worth them.
    pub fn compact(&mut self) {
        self.release();
        if let Some(nodes) = &mut self.nodes {
            nodes.seal(&mut self.chain);
            nodes.clear();
        }
        let copied = self.chain.compact();
        self.count_copied(copied);
        self.check();
    }

    /// Takes all readable bytes out, in the form in which they are queued to be sent. What is
    /// not flushed stays.
    #[must_use]
    pub fn take(&mut self) -> LinkBuffer {
        self.release();
        let unflushed = self.chain.split_off(self.flushed);
        self.flushed = 0;
        std::mem::replace(&mut self.chain, unflushed)
    }

    /// How many bytes can be read.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.flushed - self.cursor.get().position
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Points `slices` at the first readable bytes, a slice a segment, and consumes nothing.
    /// Answers how many slices are set and how many bytes they have, as
    /// [`LinkBuffer::io_slices`] does.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            *slice = IoSlice::new(chunk);
            bytes += chunk.len();
            count += 1;
        }
        (count, bytes)
    }

    /// What the buffer has done, and what it holds.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        BufferStats {
            bytes_copied: self.bytes_copied.get(),
            copies_held: self.copies.count(),
            nodes_taken: self.nodes.as_ref().map_or(0, |nodes| nodes.nodes_taken()),
            segments: self.chain.segment_count(),
            bytes_held: self.cursor.get().position,
        }
    }

    /// How many bytes are reserved in a node and not in the chain.
    #[inline]
    pub(crate) fn open(&self) -> usize {
        self.nodes.as_ref().map_or(0, |nodes| nodes.open())
    }

    pub(crate) fn count_copied(&self, bytes: usize) {
        self.bytes_copied.update(|copied| copied + bytes as u64);
    }

    /// Asserts the invariant.
    #[inline]
    pub(crate) fn check(&self) {
        let read = self.cursor.get();
        assert!(
            read.position <= self.flushed && self.flushed <= self.chain.len(),
            "head <= read <= flush <= write"
        );
        debug_assert!(self.cursor_is_true(read));
    }

    /// Whether a cursor's three parts name the same place. Looks at every segment before it.
    fn cursor_is_true(&self, cursor: Cursor) -> bool {
        let before = (0..cursor.index).filter_map(|index| self.chain.segment(index));
        let len = self.chain.segment(cursor.index).map_or(0, Segment::len);
        let position = before.map(Segment::len).sum::<usize>() + cursor.offset;
        cursor.offset <= len && cursor.position == position
    }
}

impl fmt::Debug for NocopyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NocopyBuffer")
            .field("held", &self.cursor.get().position)
            .field("len", &self.len())
            .field("malloc_length", &self.malloc_length())
            .finish_non_exhaustive()
    }
}
