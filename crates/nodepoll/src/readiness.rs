use mio::event::Event as KernelEvent;

/// What the kernel says of a socket. Back ends say it in one event or in several, in any order,
/// some of it more than once, and now and then without a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

impl Readiness {
    pub(crate) const READABLE: Self = Self(1);
    pub(crate) const WRITABLE: Self = Self(1 << 1);
    /// The peer has sent FIN, or the socket is no more.
    pub(crate) const READ_CLOSED: Self = Self(1 << 2);
    /// Nothing more can be sent.
    pub(crate) const WRITE_CLOSED: Self = Self(1 << 3);
    /// The socket has failed.
    pub(crate) const ERROR: Self = Self(1 << 4);
    /// There are urgent bytes.
    pub(crate) const PRIORITY: Self = Self(1 << 5);

    pub(crate) fn of(event: &KernelEvent) -> Self {
        let all = [
            (event.is_readable(), Self::READABLE),
            (event.is_writable(), Self::WRITABLE),
            (event.is_read_closed(), Self::READ_CLOSED),
            (event.is_write_closed(), Self::WRITE_CLOSED),
            (event.is_error(), Self::ERROR),
            (event.is_priority(), Self::PRIORITY),
        ];
        let said = all.into_iter().filter(|&(is, _)| is);
        said.fold(Self(0), |sum, (_, one)| sum.and(one))
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it says any of this.
    pub(crate) const fn says(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}
