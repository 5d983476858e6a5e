use std::num::NonZeroU64;
use std::ops::Add;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A point in time on the clock that nobody sets, in half the room of an [`Instant`], and none in
/// an `Option`: connections keep several.
///
/// Nanoseconds since the first look at the clock, beginning with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(NonZeroU64::MIN) + FIRST.elapsed()
    }

    /// The time from `earlier` to this moment, or zero.
    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// A moment that is too far away becomes the last one, in some centuries.
impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn moments_go_on_and_tell_the_time_between_them() {
        let first = Moment::now();
        let later = first + Duration::from_millis(5);
        assert!(Moment::now() >= first && later > first);
        assert_eq!(
            later.saturating_duration_since(first),
            Duration::from_millis(5)
        );
        assert_eq!(first.saturating_duration_since(later), Duration::ZERO);
        assert_eq!(first + Duration::MAX, later + Duration::MAX);
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
