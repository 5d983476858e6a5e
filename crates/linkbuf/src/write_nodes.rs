use crate::arena::Arena;
use crate::buffer_error::BufferError;
use crate::limits::{NODE_BYTES_MAX, WRITE_NODE_BYTES_MIN};
use crate::link_buffer::LinkBuffer;
use crate::node::Node;
use std::io::IoSliceMut;

/// The nodes that a buffer writes into, and the bytes that are reserved in them.
///
/// ```text
/// node   ├ committed: segments of the chain ┤ open: reserved ┤ room …   ┤
/// ahead  ├ committed ┤ room …                                           ┤
/// ```
///
/// Only the last bytes of a buffer can still be written: they are not committed, so no segment
/// covers them and their writer is alone. As soon as something is put behind them they are
/// committed ([`seal`](Self::seal)).
pub(crate) struct WriteNodes {
    arena: Arena,
    node: Option<Node>,
    /// Has room when `node` has too little: the rest of a node that was left for a longer one,
    /// or what a vectored read may fill after `node`.
    ahead: Option<Node>,
    /// How many bytes of the room in `node` are reserved.
    open: usize,
    /// How long the next node will be, unless more is asked for.
    node_bytes: usize,
    /// How many bytes were reserved since the buffer was last empty.
    bytes_used: usize,
    nodes_taken: u64,
}

impl WriteNodes {
    pub(crate) fn new(arena: Arena) -> Self {
        Self {
            arena,
            node: None,
            ahead: None,
            open: 0,
            node_bytes: WRITE_NODE_BYTES_MIN,
            bytes_used: 0,
            nodes_taken: 0,
        }
    }

    /// Reserves `bytes` bytes in one piece, behind those that are.
    #[inline]
    pub(crate) fn reserve(
        &mut self,
        bytes: usize,
        chain: &mut LinkBuffer,
    ) -> Result<&mut [u8], BufferError> {
        if bytes > self.room() {
            self.make_room(bytes, chain)?;
        }
        Ok(self.open_more(bytes))
    }

    /// Reserves as many bytes as there is room for in one piece, one at least and `bytes_max` at
    /// most, which must not be 0.
    pub(crate) fn reserve_some(
        &mut self,
        bytes_max: usize,
        chain: &mut LinkBuffer,
    ) -> Result<&mut [u8], BufferError> {
        if self.room() == 0 {
            self.make_room(bytes_max.min(NODE_BYTES_MAX), chain)?;
        }
        Ok(self.open_more(bytes_max.min(self.room())))
    }

    /// Room for `bytes` bytes at least in one or two pieces, of which only the second may be
    /// empty. If memory is short there is less room, but some.
    pub(crate) fn spare(
        &mut self,
        bytes: usize,
        chain: &mut LinkBuffer,
    ) -> Result<[IoSliceMut<'_>; 2], BufferError> {
        if self.room() == 0 {
            self.make_room(1, chain)?;
        }
        let ahead = self.ahead.as_ref().map_or(0, Node::room);
        if self.room() + ahead < bytes
            && let Ok(node) = self.take(bytes.min(NODE_BYTES_MAX))
        {
            self.ahead = Some(node);
        }
        let node = self.node.as_mut().map_or(&mut [][..], Node::spare);
        let ahead = self.ahead.as_mut().map_or(&mut [][..], Node::spare);
        Ok([&mut node[self.open..], ahead].map(IoSliceMut::new))
    }

    /// Reserves the first `bytes` bytes of what [`spare`](Self::spare) has shown.
    pub(crate) fn fill(&mut self, bytes: usize, chain: &mut LinkBuffer) -> Result<(), BufferError> {
        let room = self.room();
        let ahead = self.ahead.as_ref().map_or(0, Node::room);
        if bytes > room + ahead {
            return Err(BufferError::OutOfRange);
        }
        self.open += bytes.min(room);
        self.bytes_used += bytes;
        if bytes > room {
            self.seal(chain);
            self.node = self.ahead.take();
            self.open = bytes - room;
        }
        Ok(())
    }

    /// Commits all but the last `bytes` bytes that are reserved.
    #[inline]
    pub(crate) fn seal_but(&mut self, bytes: usize, chain: &mut LinkBuffer) {
        let sealed = self.open - bytes;
        if sealed == 0 {
            return;
        }
        let node = self.node.as_mut().expect("what is reserved is in a node");
        let joined = chain.back_mut();
        if joined.is_some_and(|back| node.commit_onto(back, sealed)) {
            chain.lengthen(sealed);
        } else {
            chain.push(node.commit(sealed));
        }
        self.open = bytes;
    }

    /// Commits all bytes that are reserved.
    #[inline]
    pub(crate) fn seal(&mut self, chain: &mut LinkBuffer) {
        self.seal_but(0, chain);
    }

    /// Keeps the first `bytes` of the reserved bytes, and the room of the others.
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.open = self.open.min(bytes);
    }

    /// How many bytes are reserved and not committed.
    #[inline]
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.node.as_ref().map_or(0, Node::room) - self.open
    }

    /// How many nodes were taken from the arena.
    pub(crate) fn nodes_taken(&self) -> u64 {
        self.nodes_taken
    }

    /// The buffer has become empty: begins again in the node that is there, if no slice refers to
    /// it. If little was written since the last time, the nodes to come are shorter.
    pub(crate) fn rewind(&mut self) {
        debug_assert_eq!(self.open, 0, "what is reserved is in the buffer");
        if self.bytes_used < self.node_bytes / 4 {
            self.node_bytes = (self.node_bytes / 2).max(WRITE_NODE_BYTES_MIN);
        }
        self.bytes_used = 0;
        self.node = self
            .node
            .take()
            .filter(|node| node.capacity() <= self.node_bytes);
        if let Some(node) = &mut self.node {
            node.try_rewind();
        }
        self.ahead = None;
    }

    /// Gives the nodes back, with what is reserved in them.
    pub(crate) fn clear(&mut self) {
        self.node = None;
        self.ahead = None;
        self.open = 0;
        self.node_bytes = WRITE_NODE_BYTES_MIN;
        self.bytes_used = 0;
    }

    #[inline]
    fn open_more(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.open;
        self.open += bytes;
        self.bytes_used += bytes;
        let spare = self.node.as_mut().map_or(&mut [][..], Node::spare);
        &mut spare[start..start + bytes]
    }

    /// Goes on in a node with room for `bytes`. The one with more room of the two that were in
    /// use before stays at hand.
    #[cold]
    fn make_room(&mut self, bytes: usize, chain: &mut LinkBuffer) -> Result<(), BufferError> {
        let fits = |node: &Node| node.room() >= bytes;
        let next = match self.ahead.take_if(|node| fits(node)) {
            Some(ahead) => ahead,
            None => self.take(bytes)?,
        };
        self.seal(chain);
        let room = |node: &Option<Node>| node.as_ref().map_or(0, Node::room);
        let last = self.node.replace(next);
        if room(&last) > room(&self.ahead) {
            self.ahead = last;
        }
        Ok(())
    }

    /// Takes a node from the arena. The first are short; with use they grow.
    fn take(&mut self, bytes: usize) -> Result<Node, BufferError> {
        let node = self.arena.allocate(bytes.max(self.node_bytes));
        // A long free range may be missing where a short one is not.
        let node = node.or_else(|| self.arena.allocate(bytes));
        let node = node.ok_or(BufferError::NoMemory)?;
        self.nodes_taken += 1;
        if self.bytes_used >= self.node_bytes {
            self.node_bytes = (self.node_bytes * 2).min(NODE_BYTES_MAX);
        }
        Ok(node)
    }
}
