use std::{fmt, io};

/// A system call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemError {
    /// The error number of the operating system, never 0: hosts take that for success.
    pub errno: i32,
    /// The call, by the name Node uses: `listen`, `bind`, `connect`, `socket`.
    pub syscall: &'static str,
}

impl SystemError {
    pub(crate) fn new(error: &io::Error, syscall: &'static str) -> Self {
        Self {
            errno: errno_of(error),
            syscall,
        }
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.syscall,
            io::Error::from_raw_os_error(self.errno)
        )
    }
}

impl std::error::Error for SystemError {}

/// Why listening or dialing did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The operating system refused.
    System(SystemError),
    /// All drivers have panicked; nobody is left to take the socket.
    LoopFailed,
}

impl OpenError {
    /// What the operating system said, if it was the one to refuse.
    #[must_use]
    pub fn system(&self) -> Option<SystemError> {
        match self {
            Self::System(error) => Some(*error),
            Self::LoopFailed => None,
        }
    }
}

impl From<SystemError> for OpenError {
    fn from(error: SystemError) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::LoopFailed => f.write_str("all drivers have failed"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A runtime that could not be started. Nothing of it is left.
#[derive(Debug)]
pub struct StartError(pub(crate) io::Error);

impl StartError {
    /// The error number of the operating system, if it was the one to refuse.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.0.raw_os_error()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pollers cannot be started: {}", self.0)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The error number in `error`; one that the operating system did not give counts as `EIO`.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    const EIO: i32 = 5;
    error.raw_os_error().unwrap_or(EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_number_is_no_success() {
        let unnumbered = io::ErrorKind::Unsupported.into();
        assert_ne!(SystemError::new(&unnumbered, "listen").errno, 0);
        let numbered = io::Error::from_raw_os_error(13);
        assert_eq!(SystemError::new(&numbered, "listen").errno, 13);
    }
}
