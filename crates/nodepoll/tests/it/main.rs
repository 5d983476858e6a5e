//! The runtime over real sockets. The peers are those of the standard library, and the host is
//! [`nodepoll::RustHost`], so that nothing here needs JavaScript.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod accepting;
mod closing;
mod descriptors;
mod dialing;
mod endings;
mod ends;
mod failure;
mod half_close;
// A selector that has no descriptor cannot be watched by a host.
#[cfg(not(mio_unsupported_force_poll_poll))]
mod hosts;
mod limits;
mod memory;
mod order;
mod pressure;
mod stale;
mod timeouts;
mod window;
mod writing;
