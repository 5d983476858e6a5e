//! All that differs between operating systems, and the only unsafe code of the crate.

pub(crate) mod socket;
pub(crate) mod words;

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
