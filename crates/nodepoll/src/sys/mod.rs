//! All that differs between operating systems, and the only unsafe code of the crate.

use std::time::Duration;

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
pub(crate) const SHORT_READ_EMPTIES: bool = cfg!(all(
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd"
    ),
    // What mio has for systems with nothing better, and what tests can have of it anywhere.
    not(mio_unsupported_force_poll_poll)
));

/// The longest sleep of a driver, where it may miss being woken. With poll(2) mio wakes itself up
/// to register a socket, and can take for that what somebody else has woken it up for.
pub(crate) const SLEEP_MAX: Option<Duration> = if cfg!(mio_unsupported_force_poll_poll) {
    Some(Duration::from_millis(250))
} else {
    None
};

/// Whether accepted sockets have the options that were set on their listener.
pub(crate) const ACCEPTED_INHERIT_OPTIONS: bool = cfg!(target_os = "linux");

/// What becomes readable when a selector has events, where there is such a thing.
#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
#[expect(clippy::unnecessary_wraps, reason = "not every system has one")]
pub(crate) fn descriptor(poll: &Poll) -> Option<i32> {
    Some(std::os::fd::AsRawFd::as_raw_fd(poll))
}

/// What becomes readable when a selector has events, where there is such a thing.
#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
pub(crate) fn descriptor(_poll: &Poll) -> Option<i32> {
    None
}
