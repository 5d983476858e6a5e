//! All that differs between operating systems, and the only unsafe code of the crate.

use mio::Poll;

#[cfg(feature = "faults")]
pub(crate) mod faulty_socket;
#[cfg(feature = "faults")]
#[path = "socket.rs"]
mod plain_socket;
#[cfg(not(feature = "faults"))]
pub(crate) mod socket;
pub(crate) mod words;

#[cfg(feature = "faults")]
pub(crate) use faulty_socket as socket;

/// Whether a read that came back short proves that the socket is empty. It does where the back
/// end reports every arrival as a new edge; others re-arm only once a read would have blocked.
pub(crate) const SHORT_READ_EMPTIES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd"
));

/// Whether accepted sockets have the options that were set on their listener.
pub(crate) const ACCEPTED_INHERIT_OPTIONS: bool = cfg!(target_os = "linux");

/// What becomes readable when a selector has events, where there is such a thing.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "not every system has one")]
pub(crate) fn descriptor(poll: &Poll) -> Option<i32> {
    Some(std::os::fd::AsRawFd::as_raw_fd(poll))
}

/// What becomes readable when a selector has events, where there is such a thing.
#[cfg(not(unix))]
pub(crate) fn descriptor(_poll: &Poll) -> Option<i32> {
    None
}
