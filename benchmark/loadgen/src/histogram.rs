//! Latencies, counted in buckets that grow with the value.
//!
//! Each power of two nanoseconds has 64 buckets, so a percentile is off by less than 1.6 %, and
//! recording is a shift and an increment.

use std::time::Duration;

const STEP_BITS: u32 = 6;
const STEP_COUNT: usize = 1 << STEP_BITS;
const BUCKET_COUNT: usize = STEP_COUNT * (u64::BITS - STEP_BITS + 1) as usize;

#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKET_COUNT],
            total: 0,
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanos)] += 1;
        self.total += 1;
    }

    /// The latency that the given share (0 to 1) of all stays at or below, as the lower bound of
    /// its bucket; zero when nothing was recorded.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let wanted = rank(share, self.total);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return Duration::from_nanos(lower_bound(bucket));
            }
        }
        Duration::ZERO
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count, rounded up, is a count"
)]
fn rank(share: f64, total: u64) -> u64 {
    (share * total as f64).ceil() as u64
}

/// Values below 64 have a bucket each; above, the top seven bits choose it.
fn bucket_of(nanos: u64) -> usize {
    let power = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let top_bits = usize::try_from(nanos >> power).expect("at most seven bits are left");
    power as usize * STEP_COUNT + top_bits
}

fn lower_bound(bucket: usize) -> u64 {
    let power = (bucket / STEP_COUNT).saturating_sub(1);
    ((bucket - power * STEP_COUNT) as u64) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_at_or_just_above_the_bound_of_its_bucket() {
        let shifts = 0..u64::BITS;
        let values = shifts.flat_map(|shift| [1 << shift, (1 << shift) - 1, 0b101 << (shift / 2)]);
        for value in values.chain([0, 63, 64, 127, 128, u64::MAX]) {
            let bound = lower_bound(bucket_of(value));
            assert!(bound <= value, "{value} is below {bound}");
            assert!(value - bound <= value / 64, "{value} is far above {bound}");
        }
    }

    #[test]
    fn buckets_rise_with_their_bounds() {
        for bucket in 1..BUCKET_COUNT {
            assert!(lower_bound(bucket) > lower_bound(bucket - 1));
            assert_eq!(bucket_of(lower_bound(bucket)), bucket);
        }
    }

    #[test]
    fn percentiles_split_what_was_recorded() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = histogram.percentile(share).as_secs_f64() * 1e6;
            assert!(found <= micros, "{share}: {found}");
            assert!(found > micros * 0.98, "{share}: {found}");
        }
    }

    #[test]
    fn an_empty_histogram_has_zero_percentiles() {
        assert_eq!(Histogram::new().percentile(0.99), Duration::ZERO);
    }
}
