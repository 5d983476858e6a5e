use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lane::{Lane, Turn};
use crate::selector::Selector;

/// A driver that the host turns on its own thread, in a loop of its own.
///
/// The host watches [`descriptor`](Self::descriptor), and calls [`Runtime::turn`](crate::Runtime)
/// when it is readable or the time is up.
pub struct InlineDriver {
    lane: Arc<Lane>,
    selector: Selector,
    index: usize,
}

/// What the host does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTurn {
    /// Turn again when the descriptor is readable, after this time at the latest.
    Watch(Option<Duration>),
    /// Give the driver back: there is so much to do that a thread of its own is better.
    GiveBack,
    /// The driver has failed: let go of it.
    Failed,
}

impl InlineDriver {
    pub(crate) fn new(lane: Arc<Lane>, selector: Selector, index: usize) -> Self {
        Self {
            lane,
            selector,
            index,
        }
    }

    /// Which lane's driver it is.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.index
    }

    /// What becomes readable when there is something to do.
    ///
    /// # Panics
    /// Where the system has no such thing; there is no inline driver then.
    #[must_use]
    pub fn descriptor(&self) -> i32 {
        self.selector
            .descriptor()
            .expect("only what can be watched is turned inline")
    }

    /// Waits for something to do, for a host that has nothing else to wait for.
    pub(crate) fn wait(&mut self, time: Option<Duration>) {
        self.selector.wait(time);
    }

    /// Handles what the last wait has brought.
    pub(crate) fn turn(&mut self) -> AfterTurn {
        self.lane.seam.parking.leave();
        let Turn::Sleep(time) = self.lane.turn(self.selector.events()) else {
            return AfterTurn::Failed;
        };
        let can_leave = self.lane.hosting.switches();
        if can_leave && self.selector.load().is_high(Instant::now) {
            AfterTurn::GiveBack
        } else {
            AfterTurn::Watch(time)
        }
    }

    pub(crate) fn give_back(mut self) {
        self.selector.switched();
        self.lane.give_to_thread(self.selector);
    }
}
