//! Every bound of the core, in one place.

use std::time::Duration;

use linkbuf::NODE_BYTES_MAX;

/// Records in each ring of a lane. A full event ring pauses sockets, a full command ring makes the
/// host keep its commands.
pub const RING_RECORDS: u32 = 2048;

/// The smallest ring that works: the reserve below, and room for one event beside it.
pub const RING_RECORDS_MIN: u32 = 32;

/// Records that reading and accepting leave free, so that ends can still be told.
pub const EVENTS_RESERVED: u32 = 16;

/// Pairs of node and count in one exchange's list of released and retained leases.
pub const LEASE_CHANGES: usize = 1024;

/// Poller threads of one runtime.
pub const POLLERS_MAX: usize = 64;

/// Kernel events taken in one turn.
pub const KERNEL_EVENTS: usize = 1024;

/// Commands a host may send through the parked driver by itself; more are left to the poller.
///
/// Measured: sending everything on the host's thread lets the poller finish early and park again,
/// half a context switch a message. Four keeps the short way for a lone request.
pub const DIRECT_COMMANDS: u32 = 4;

/// Sockets that are ready in one turn, on average, at which a thread takes a driver over from the
/// host.
///
/// Measured with 16 to 100 connections: up to 32 of them the host alone costs less CPU in all (1.1
/// of a plain epoll loop against 1.3 to 1.5 with a thread) and answers sooner; with 100 both cost
/// the same, and the thread takes nine tenths of it away from JavaScript.
pub const LOAD_HIGH: u32 = 24;

/// Sockets that are ready in one turn, on average, at which the host takes a driver back.
pub const LOAD_LOW: u32 = 4;

/// Turns that the average is about.
pub const LOAD_SPAN: u32 = 8;

/// Time that a driver stays where it is, so that it does not go to and fro.
pub const HOST_DWELL: Duration = Duration::from_millis(5);

/// Bytes read from one connection in one turn before the others get theirs.
pub const READ_BYTES_PER_TURN: usize = 256 << 10;

/// Size of the node that all connections of a driver receive into.
pub const READ_NODE_BYTES: usize = 64 << 10;

/// A read node with less room than this is replaced before the next read. Nor is there a shorter
/// one, if what is free is in pieces.
pub const READ_ROOM_MIN: usize = 4 << 10;

/// Memory that input leaves to output: replies are what gives memory back.
pub const OUTPUT_RESERVE_BYTES: usize = 256 << 10;

/// Read nodes that output leaves to input, beside one for each driver: the peers that output waits
/// for may be waiting to be read, and others have nothing to do with them.
pub const INPUT_RESERVE_NODES: usize = 3;

/// The part of an arena that output leaves to input at most.
pub const INPUT_RESERVE_PART: usize = 4;

/// Slices in one vectored send. Above 1,024 the system call fails with `EINVAL`.
pub const SEND_SLICES: usize = 64;

/// Connections accepted from one listener before other work has its turn.
pub const ACCEPT_BATCH: usize = 64;

/// Wait before accepting again after the process ran out of descriptors or memory.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Time that a listener which is to be closed waits in this case for those that the kernel has
/// accepted already: what ends meanwhile gives back what they need.
pub const ACCEPT_LAST_TIME: Duration = Duration::from_millis(500);

/// Time that a graceful close may take to send what was flushed.
pub const CLOSE_SEND_TIME: Duration = Duration::from_secs(30);

/// Time that a graceful close waits for the peer's FIN after its own.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// Entries of the timers that may be there beside four for each row of the table.
pub const TIMERS_SPARE: usize = 1024;

/// Input that a graceful close discards before it gives up waiting for the peer's FIN.
pub const LINGER_BYTES: usize = 64 << 20;

/// Bytes of input discarded by one read.
pub const DISCARD_BYTES: usize = 64 << 10;

/// Free arena bytes below which a driver asks the host for another chunk.
pub const MEMORY_LOW_BYTES: usize = 2 * NODE_BYTES_MAX;
