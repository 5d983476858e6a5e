//! Memory for bytes that come from and go to sockets.
//!
//! An [`Arena`] is given [`Chunk`]s of memory and carves [`Node`]s from them. A node has one
//! writer, which fills it front to back; what is filled is handed out as [`Segment`]s, read-only
//! ranges that count as references to their node. A [`LinkBuffer`] is a queue of segments. A
//! [`NocopyBuffer`] reads and writes in place: it holds such a queue, and the nodes it writes
//! into. When the last reference to a node is gone, its range goes back to the arena and merges
//! with its free neighbours.
//!
//! ```text
//!  chunk 0 (1 MiB)                                                  offsets count from here
//!  ├──── node 0x000, 64 KiB ────┬ node 0x010, 4 KiB ┬ 0x011 ┬ free …
//!  │ seg A │ seg B │   room     │ seg C             │       │
//!  └───▲───┴───▲───┴─────▲──────┴───────────────────┴───────┴─
//!      │       │         └ Node::spare, seen by the node's one writer only
//!      │       └ Segment { node ─┐, offset: u32, len: u32 }            16 bytes
//!      └ Segment { node ─────────┤, … }
//!                                ▼
//!  headers, in Rust's own memory, one a granule of 4 KiB (the chunk may be memory that
//!  JavaScript can write, so nothing that must stay true is kept in it):
//!    NodeHeader { leases:32 │ references:32, written: u32, id, base, origin }
//! ```
//!
//! A *lease* is a reference that the other side of a language boundary holds. Rust cannot see
//! when it ends, so it is given back by number: [`Segment::lease`] counts one and names it with a
//! [`SegmentId`]; [`Arena::release`] ends it, [`Arena::take_leased`] turns it back into a
//! [`Segment`]. Numbers that come from there are not trusted: one that names nothing is ignored
//! and counted.
//!
//! A node's *origin* is an arena, or none: a short rest that would hold a node is copied into a
//! box of its own ([`LinkBuffer::compact`]), and bytes that somebody owns already need not be
//! copied to be sent ([`Segment::own`]). Segments of both are used alike, but only what is in an
//! arena has a number by which it can be leased.
//!
//! Buffers share nodes by counting, and never bytes by moving them:
//!
//! ```text
//!  NocopyBuffer a                      head    read          flush      write
//!    chain  [ seg ][ seg ][ seg ]        ├─held──┼──readable────┼─unflushed─┤
//!              │      │      └──────▶ node 3 ◀── Node, the buffer's writer
//!              │      └───▶ node 2 ◀──────┐
//!              └▶ node 1 ◀────────┐       │      a node is free again when
//!                                 │       │      no arrow points to it
//!  slice of a (NocopyBuffer)  [ seg ][ seg ]
//!                                         │
//!  queue of output (LinkBuffer)        [ seg ]   pushed, sent by io_slices, skipped
//! ```
//!
//! The crate depends on nothing and does no I/O. All `unsafe` code about memory is here.
//!
//! ```
//! use linkbuf::{Arena, CHUNK_BYTES, Chunk, LinkBuffer};
//!
//! let arena = Arena::new(CHUNK_BYTES);
//! arena.grant(Chunk::boxed(CHUNK_BYTES))?;
//!
//! let mut node = arena.allocate(4096).expect("a fresh chunk has room");
//! let mut buffer = LinkBuffer::new();
//! buffer.push(node.write(b"hello, "));
//! buffer.push(node.write(b"world"));
//! assert_eq!(buffer.segment_count(), 1); // neighbours in one node join
//! buffer.skip(7);
//! assert_eq!(buffer.front().map(linkbuf::Segment::as_slice), Some(&b"world"[..]));
//! # Ok::<(), linkbuf::GrantError>(())
//! ```

mod arena;
mod arena_core;
mod buddy;
mod buffer_error;
mod chunk;
mod chunk_table;
mod copies;
mod cut;
mod limits;
mod link_buffer;
#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
mod nocopy_buffer;
mod node;
mod node_count;
mod node_header;
mod node_ref;
mod number;
mod purpose;
mod reader;
mod room;
mod search;
mod segment;
#[doc(hidden)]
pub mod sync;
mod write_nodes;
mod writer;

pub use arena::{Arena, ArenaStats, GrantError};
pub use buffer_error::BufferError;
pub use chunk::Chunk;
pub use limits::{
    CHUNK_BYTES, CHUNK_BYTES_MAX, GRANULE_BYTES, NODE_BYTES_MAX, REST_BYTES_MAX, SPARE_BYTES_MIN,
    WRITE_NODE_BYTES_MIN,
};
pub use link_buffer::LinkBuffer;
pub use nocopy_buffer::{BufferStats, NocopyBuffer};
pub use node::Node;
pub use purpose::Purpose;
pub use segment::{Segment, SegmentId};
