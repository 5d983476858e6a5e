//! The result of a run, as one line of JSON.

use std::time::Duration;

use crate::args::Args;
use crate::histogram::Histogram;

#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) args: &'a Args,
    /// Replies of the measured time, and how long that was.
    pub(crate) replies: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latencies: &'a Histogram,
    /// Replies from the first connection to the last, warm-up included.
    pub(crate) total: u64,
}

impl Report<'_> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of replies and bytes stay far below 2^53"
    )]
    pub(crate) fn print(&self) {
        let per_second = self.replies as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON);
        let micros = |share| self.latencies.percentile(share).as_secs_f64() * 1e6;
        println!(
            "{{\"mode\":\"{}\",\"connections\":{},\"size\":{},\"depth\":{},\"seconds\":{:.3},\
             \"rps\":{per_second:.1},\"replies\":{},\"total\":{},\"p50us\":{:.1},\"p99us\":{:.1},\
             \"p999us\":{:.1},\"mb_per_s\":{:.2}}}",
            self.args.mode.name(),
            self.args.connections,
            self.args.size,
            self.args.depth,
            self.elapsed.as_secs_f64(),
            self.replies,
            self.total,
            micros(0.5),
            micros(0.99),
            micros(0.999),
            per_second * self.args.size as f64 / 1e6,
        );
    }
}
