use linkbuf::sync::{AtomicUsize, Ordering};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use crate::options::LoadBalance;
use crate::seam::Seam;

/// Spreads connections, dials and listeners over the drivers that live.
pub(crate) struct Balancer {
    lanes: Box<[Arc<Seam>]>,
    rule: LoadBalance,
    turn: AtomicUsize,
    random: RandomState,
}

impl Balancer {
    pub(crate) fn new(lanes: Vec<Arc<Seam>>, rule: LoadBalance) -> Self {
        Self {
            lanes: lanes.into(),
            rule,
            turn: AtomicUsize::new(0),
            random: RandomState::new(),
        }
    }

    pub(crate) fn lane(&self, index: usize) -> &Arc<Seam> {
        &self.lanes[index]
    }

    /// The driver for the next connection; `None` if all have failed.
    pub(crate) fn choose(&self) -> Option<usize> {
        let count = self.lanes.len();
        // Relaxed: any order of the turns will do.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = match self.rule {
            LoadBalance::RoundRobin | LoadBalance::LeastConnections => turn % count,
            LoadBalance::Random => self.random_below(turn, count),
        };
        let mut living = (0..count)
            .map(|step| (first + step) % count)
            .filter(|&lane| !self.lanes[lane].has_failed());
        match self.rule {
            LoadBalance::RoundRobin | LoadBalance::Random => living.next(),
            // Of several that have the fewest, each gets its turn.
            LoadBalance::LeastConnections => living.min_by_key(|&lane| self.lanes[lane].load()),
        }
    }

    /// The hash of a counter, with keys that the system has made up, is as random as it needs.
    fn random_below(&self, turn: usize, count: usize) -> usize {
        let mut hasher = self.random.build_hasher();
        hasher.write_usize(turn);
        usize::try_from(hasher.finish() >> 32).unwrap_or(0) % count
    }
}
