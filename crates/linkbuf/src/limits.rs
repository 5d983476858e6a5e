//! Every limit of the crate.

/// The smallest node, and the unit in which a chunk is divided.
pub const GRANULE_BYTES: usize = 4096;

/// The length of a standard chunk. A longer chunk holds one node, its own length long.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The largest node that shares a chunk with others; a larger one has a chunk of its own.
pub const NODE_BYTES_MAX: usize = 256 << 10;

/// The longest chunk. A node may hold one lease a byte, and these must fit the count of
/// references twice over.
pub const CHUNK_BYTES_MAX: usize = 1 << 30;

/// The longest rest of a buffer that [`compact`](crate::LinkBuffer::compact) copies out, so that
/// it does not hold whole nodes: copying so little costs less than a system call.
pub const REST_BYTES_MAX: usize = GRANULE_BYTES;

/// The first node that a buffer takes to write into. Each further one is twice as long, up to
/// [`NODE_BYTES_MAX`]; a buffer that is idle comes back to this.
pub const WRITE_NODE_BYTES_MIN: usize = GRANULE_BYTES;

/// The room that a buffer offers at least to a vectored read, unless memory is short.
pub const SPARE_BYTES_MIN: usize = 2048;

/// How many of the latest copies of bytes across nodes a peek looks through for one that it can
/// show again.
pub(crate) const COPIES_SEARCHED: usize = 64;

/// What stands for the id of a node that is in no arena. No chunk has such an index, and the
/// first granule is 0.
pub(crate) const OWN_NODE_ID: u32 = 1 << 31;

/// How many granules a standard chunk has: what the low bits of a node's id can name.
pub(crate) const GRANULES: u32 = 1 << GRANULE_BITS;

/// How many bits of a node's id name its first granule.
pub(crate) const GRANULE_BITS: u32 = 8;

/// The most chunks that one arena can name: 64 GiB of standard chunks.
pub(crate) const CHUNKS_MAX: usize = 1 << 16;

/// How many chunks an arena can take beyond those that its limit holds at standard length, so
/// that a few shorter ones do not end it early.
pub(crate) const CHUNKS_SPARE: usize = if cfg!(loom) { 1 } else { 64 };

/// The most references that one node may have. Half of what the count can hold: a thread that
/// finds it exceeded takes its own one back, and 2³¹ threads cannot do so at once.
pub(crate) const REFERENCES_MAX: u32 = 1 << 31;

const _: () = assert!(GRANULES as usize * GRANULE_BYTES == CHUNK_BYTES);
const _: () = assert!(CHUNKS_MAX <= 1 << (32 - GRANULE_BITS));
const _: () = assert!(CHUNK_BYTES_MAX <= (REFERENCES_MAX / 2) as usize);
const _: () = assert!(CHUNKS_MAX <= (OWN_NODE_ID >> GRANULE_BITS) as usize);
