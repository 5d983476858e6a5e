use std::fmt;

/// Why a call on a [`NocopyBuffer`](crate::NocopyBuffer) was not met. It has changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum BufferError {
    /// Fewer bytes can be read than were asked for.
    ShortBuffer,
    /// A number lies outside what the call takes.
    OutOfRange,
    /// The buffer can only be read.
    Unsupported,
    /// An argument has a value that makes no sense, such as a delimiter of no bytes.
    InvalidArgument,
    /// The arena has no room.
    NoMemory,
}

impl BufferError {
    /// The code by which users of the package know the failure.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ShortBuffer => "ERR_NODEPOLL_SHORT_BUFFER",
            Self::OutOfRange => "ERR_OUT_OF_RANGE",
            Self::Unsupported => "ERR_NODEPOLL_UNSUPPORTED",
            Self::InvalidArgument => "ERR_INVALID_ARG_VALUE",
            Self::NoMemory => "ERR_NODEPOLL_WRITE_LIMIT",
        }
    }
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShortBuffer => "the buffer has fewer bytes than were asked for",
            Self::OutOfRange => "a number is outside what the call takes",
            Self::Unsupported => "the buffer can only be read",
            Self::InvalidArgument => "an argument has a value that makes no sense",
            Self::NoMemory => "the arena has no room",
        })
    }
}

impl std::error::Error for BufferError {}
